# shellcheck shell=sh
# What the suites of gow-convert share; read after functions.sh.
#
#	$work/disk.raw, $work/1.gow, 2.gow, 3.gow
#		a disk, and images of it as they are to be
#	recipe NAME LINE...
#		$recipe is a recipe of these lines
#	convert ARG...
#	refused STATUS ARG...
#		nothing is made of it, and it says why
#	assertDirectory DIRECTORY NAME...
#		nothing else lies there, no temporary file either

# shellcheck disable=SC2154 # $work and $tmp are functions.sh's

# A disk whose blocks differ, with gaps and a last block that is not
# whole: as the guest sees it, and as images of it are to be.
make_disks() {
	cat >"$work/disk" <<'END'
size 3M+1536
map 0 0
map 3-5 1
map 17 4
map 40-47 5
map 48 13
data 0-12 pattern 11
data 13 pattern 12 length 1536
poke data_start+510 55aa
END
	for version in 1 2 3; do
		{
			echo "version $version"
			cat "$work/disk"
		} >"$work/recipe-$version"
		make_image "$work/recipe-$version" "$work/$version.gow"
	done
	make_raw "$work/recipe-1" "$work/disk.raw"
}

recipe() {
	recipe=$tmp/$1
	shift
	printf '%s\n' "$@" >"$recipe"
}

convert() {
	run gow-convert "$@"
}

assertDirectory() {
	directory=$1
	shift
	assertEquals "in $directory" "$*" "$(find "$directory" -mindepth 1 -printf '%P\n' | sort | xargs)"
}

refused() {
	wanted=$1
	shift
	run gow-convert "$@"
	assertStatus "$wanted"
	assertOutEmpty
	assertErr '^gow-convert: '
	run gow-convert -n "$@"
	assertStatus "$wanted"
}
