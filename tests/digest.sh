# shellcheck shell=sh
# What the suites about digests share; read after functions.sh.
#
#	make_disks
#		makes $work/v1.gow, v2.gow and v3.gow, images of $work/disk.raw, and sets
#		$digest to its digest, which comes from guestdigest: written from the format's
#		description, not from the tools

# shellcheck disable=SC2154 # $work is functions.sh's

# A disk whose blocks are out of order in the image, with a block of zeros that is
# allocated, one that is a hole, and a last block half outside the disk.
recipe() {
	cat <<END
version $1
size 20*65536+1536
map 0 3
map 1 2
map 5-7 0 step 4
map 9 5
map 20 6
data 0 pattern 1
data 2 pattern 2
data 3 text "first"
data 4 last 7f
data 5 zero
data 6 pattern 3
blocks 9
END
}

make_disks() {
	for version in 1 2 3; do
		recipe $version >"$work/recipe"
		make_image "$work/recipe" "$work/v$version.gow"
	done
	make_raw "$work/recipe" "$work/disk.raw"
	# shellcheck disable=SC2034 # for the suites
	digest=$("$GOW_TESTBIN/guestdigest" "$work/disk.raw")
}
