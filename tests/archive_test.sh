#!/bin/sh
# gow-convert to and from archives, with the real tools on the other side.

# A pipe is not a file: that is what a cat in front of one is for.
# shellcheck disable=SC2002
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# Version 1, since its header is the smallest. Out of order, with a leak, an allocated block of
# zeros, and a last block half outside the disk.
suiteSetUp() {
	cat >"$work/recipe" <<'END'
version 1
size 300*65536+1536
map 0 3
map 1 2
map 5-7 0 step 4
map 99 5
map 300 6
data 0 pattern 1
data 1 text "leaked"
data 2 pattern 2
data 3 text "first"
data 4 last 7f
data 5 zero
data 6 pattern 3 length 1536
data 8 pattern 4
END
	make_image "$work/recipe" "$work/vm.gow"
	make_raw "$work/recipe" "$work/vm.raw"
	"$GOW_TESTBIN/guestdigest" -m "$work/vm.raw" >"$work/vm.manifest"
	digest=$("$GOW_TESTBIN/guestdigest" "$work/vm.raw")
	run gow-convert "$work/vm.gow" "$work/vm.tar"
	# In the guest's order, as plain files to be packed by others.
	mkdir "$work/plain"
	(cd "$work/plain" && tar xf "$work/vm.tar")
}

# back ARCHIVE [OPTION...]: the disk in it is vm.raw, as a raw disk and as an image.
back() {
	gow_archive=$1
	shift
	rm -f "$tmp/back.raw" "$tmp/back.gow"
	run gow-convert "$@" "$gow_archive" "$tmp/back.raw"
	assertStatus 0
	assertSameFile "$work/vm.raw" "$tmp/back.raw"
	run gow-convert "$@" "$gow_archive" "$tmp/back.gow"
	assertStatus 0
	run gow-check --json --digest "$tmp/back.gow"
	assertStatus 0
	assertJson ".digest == \"$digest\""
}

# refused STATUS ARCHIVE [OPTION...]: no new file appears, of either form.
refused() {
	gow_expected=$1 gow_archive=$2
	shift 2
	for gow_form in raw gow; do
		run gow-convert "$@" "$gow_archive" "$tmp/refused.$gow_form"
		assertStatus "$gow_expected"
		assertOutEmpty
		assertEquals "left of $gow_archive" "" "$(find "$tmp" -name 'refused*' -o -name '.gow-tmp*')"
	done
}

# ---- writing ----

testMembers() {
	run tar tf "$work/vm.tar"
	assertEquals "vm.gow
vm.manifest" "$(cat "$out")"
	assertSameFile "$work/vm.manifest" "$work/plain/vm.manifest"
	run gow-check --json --manifest "$work/plain/vm.manifest" "$work/plain/vm.gow"
	assertStatus 0
	run gow-info --json "$work/plain/vm.gow"
	# The block of zeros is allocated, and kept; what had leaked is gone.
	assertJson '.version == 1 and .allocated_blocks == 7 and .leaked_blocks == 0 and .fragmentation == 0'
	assertEquals "whole records" 0 $(($(wc -c <"$work/vm.tar") % 10240))
}

testDropZeros() {
	run gow-convert --drop-zeros "$work/vm.gow" "$tmp/vm.tar"
	assertStatus 0
	(cd "$tmp" && tar xf vm.tar)
	run gow-info --json "$tmp/vm.gow"
	assertJson '.allocated_blocks == 6'
	assertSameFile "$work/vm.manifest" "$tmp/vm.manifest"
}

testVersionNumbersAreKept() {
	cat >"$tmp/recipe" <<'END'
version 3
size 10*65536
map 0 1
map 5 0
ver 0 7
ver 3 9
ver 5 4000000000
data 0-1 pattern 1
END
	make_image "$tmp/recipe" "$tmp/v3.gow"
	run gow-convert "$tmp/v3.gow" "$tmp/v3.tar.gz"
	assertStatus 0
	mkdir "$tmp/x"
	(cd "$tmp/x" && tar xzf ../v3.tar.gz)
	run gow-convert "$tmp/v3.gow" "$tmp/ordered.gow"
	assertSameFile "$tmp/ordered.gow" "$tmp/x/v3.gow"
	run gow-convert "$tmp/v3.tar.gz" "$tmp/back.gow"
	assertSameFile "$tmp/ordered.gow" "$tmp/back.gow"
}

testRawMember() {
	run gow-convert --member raw "$work/vm.gow" "$tmp/vm.tar"
	assertStatus 0
	for extract in 'tar xSf' 'tar xf' 'bsdtar xSf' 'bsdtar xf'; do
		mkdir "$tmp/x"
		(cd "$tmp/x" && $extract ../vm.tar)
		assertTrue "$extract" $?
		assertSameFile "$work/vm.raw" "$tmp/x/vm.raw"
		assertSameFile "$work/vm.manifest" "$tmp/x/vm.manifest"
		rm -r "$tmp/x"
	done
	assertTrue "holes take room" "[ $(wc -c <"$tmp/vm.tar") -lt 1000000 ]"
	back "$tmp/vm.tar"
}

testMemberOfAnotherVersion() {
	run gow-convert --member gow2 "$work/vm.gow" "$tmp/vm.tar.lz4"
	assertStatus 0
	(cd "$tmp" && lz4 -dcq vm.tar.lz4 | tar xf -)
	run gow-check --json --digest "$tmp/vm.gow"
	assertJson ".version == 2 and .digest == \"$digest\""
	run gow-convert "$work/vm.raw" "$tmp/new.tar"
	(cd "$tmp" && tar xf new.tar vm.gow)
	run gow-info --json "$tmp/vm.gow"
	assertJson '.version == 3'
}

testCompressors() {
	for suffix in tar tar.zst tzst tar.gz tgz tar.xz txz tar.lz4; do
		run gow-convert --verify "$work/vm.gow" "$tmp/vm.$suffix"
		assertStatus 0
		assertOut "verified \\($digest\\)"
		case $suffix in
		tar) zcat= ;;
		*zst) zcat='zstd -dcq' ;;
		*gz) zcat='gzip -dc' ;;
		*xz) zcat='xz -dc' ;;
		*lz4) zcat='lz4 -dcq' ;;
		esac
		${zcat:-cat} "$tmp/vm.$suffix" | cmp -n 4000000 - "$work/vm.tar"
		assertTrue "$suffix" $?
		back "$tmp/vm.$suffix"
	done
}

testCompressOption() {
	run gow-convert --compress xz:1 "$work/vm.gow" "$tmp/one.tar"
	assertStatus 0
	xz -t "$tmp/one.tar" --format=xz 2>/dev/null || xz -dc <"$tmp/one.tar" >/dev/null
	assertTrue "no xz" $?
	run gow-convert --compress none "$work/vm.gow" "$tmp/two.tar.xz"
	assertSameFile "$work/vm.tar" "$tmp/two.tar.xz"
	run gow-convert --compress zstd:19 "$work/vm.gow" "$tmp/best.tar.zst"
	run gow-convert --compress zstd:1 "$work/vm.gow" "$tmp/fast.tar.zst"
	! cmp -s "$tmp/best.tar.zst" "$tmp/fast.tar.zst"
	assertTrue "levels make no difference" $?
	for wrong in zstd:0 zstd:20 gzip:10 lz4:0 none:1 xz:10; do
		run gow-convert --compress "$wrong" "$work/vm.gow" "$tmp/wrong.tar"
		assertStatus 16
	done
	for wrong in bzip2 zstd: zstd:x zstd:-1 '' xzxzxzxzxzxzxzxzxzxzxz; do
		run gow-convert --compress "$wrong" "$work/vm.gow" "$tmp/wrong.tar"
		assertStatus 16
		assertErr '^gow-convert: --compress: '
	done
}

# The same image and options: the same bytes.
testReproducible() {
	mkdir "$tmp/a" "$tmp/b"
	cp "$work/vm.gow" "$tmp/a/vm.gow"
	cp --sparse=always "$work/vm.gow" "$tmp/b/vm.gow"
	touch -d @1000000000 "$tmp/a/vm.gow"
	chmod 600 "$tmp/b/vm.gow"
	SOURCE_DATE_EPOCH=1234567890
	export SOURCE_DATE_EPOCH
	for suffix in tar tar.zst tar.gz tar.xz tar.lz4; do
		for member in gow raw; do
			for side in a b; do
				run gow-convert --drop-zeros --member $member "$tmp/$side/vm.gow" "$tmp/$side/$member.$suffix"
				assertStatus 0
			done
			assertSameFile "$tmp/a/$member.$suffix" "$tmp/b/$member.$suffix"
		done
		run gow-convert "$tmp/a/vm.gow" "$tmp/a/kept.$suffix"
		run gow-convert "$tmp/b/vm.gow" "$tmp/b/kept.$suffix"
		assertSameFile "$tmp/a/kept.$suffix" "$tmp/b/kept.$suffix"
	done
	assertEquals "2009-02-13" "$(tar tvf "$tmp/a/gow.tar" | awk 'NR == 1 { print $4 }')"
	assertEquals "root/root" "$(tar tvf "$tmp/a/gow.tar" | awk 'NR == 1 { print $2 }')"
	unset SOURCE_DATE_EPOCH
	# Without it, the time is the image's.
	run gow-convert --force "$tmp/a/vm.gow" "$tmp/a/gow.tar"
	assertEquals "2001-09-09" "$(tar tvf "$tmp/a/gow.tar" | awk 'NR == 1 { print $4 }')"
	run env SOURCE_DATE_EPOCH=soon "$GOW_BIN/gow-convert" "$tmp/a/vm.gow" "$tmp/soon.tar"
	assertStatus 16
	assertErr SOURCE_DATE_EPOCH
}

testStandardOutput() {
	run gow-convert -O tar "$work/vm.gow" -
	assertStatus 0
	assertSameFile "$work/vm.tar" "$out"
	run gow-convert -O tar --compress zstd "$work/vm.gow" -
	zstd -dcq <"$out" | cmp -n 4600000 - "$work/vm.tar"
	assertTrue "another stream" $?
	run gow-convert -O tar --verify "$work/vm.gow" -
	assertStatus 16
	run_to_full() { "$GOW_BIN/gow-convert" -O tar "$work/vm.gow" - >/dev/full 2>"$err"; }
	run_to_full
	assertEquals 8 $?
	assertErr 'No space left'
}

testPipeIsSpooled() {
	cat "$work/vm.raw" | "$GOW_BIN/gow-convert" --member raw - "$tmp/piped.tar" >"$out" 2>"$err"
	assertEquals 0 $?
	assertErr 'copied to a temporary file beside the destination'
	(cd "$tmp" && tar xSf piped.tar)
	assertSameFile "$work/vm.raw" "$tmp/piped.raw"
	assertEquals "" "$(find "$tmp" -name '.gow-tmp*')"
}

testNames() {
	for name in 'with blank' 'ünïcode' "$(printf 'bad\377byte')" "$(printf 'new\nline')" '-dash' \
		'...' "$(printf 'long%.0s' 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0)"; do
		ln -s "$work/vm.gow" "$tmp/$name.gow"
		run gow-convert "$tmp/$name.gow" "$tmp/named.tar"
		assertStatus 0
		mkdir "$tmp/x"
		(cd "$tmp/x" && bsdtar xf ../named.tar)
		assertTrue "$name" "[ -f '$tmp/x/$name.gow' ] && [ -f '$tmp/x/$name.manifest' ]"
		back "$tmp/named.tar"
		rm -r "$tmp/x" "$tmp/named.tar"
	done
}

testUsage() {
	run gow-convert --member tar "$work/vm.gow" "$tmp/x.tar"
	assertStatus 16
	run gow-convert --salvage "$work/vm.tar" "$tmp/x.raw"
	assertStatus 16
	run gow-convert "$work/vm.gow" "$work/vm.tar"
	assertStatus 8
	assertErr 'exists already; use --force'
}

testDryRun() {
	run gow-convert -n "$work/vm.gow" "$tmp/dry.tar"
	assertStatus 0
	run gow-convert -n "$work/vm.tar" "$tmp/dry.gow"
	assertStatus 0
	assertEquals "" "$(find "$tmp" -name 'dry*' -o -name '.gow*')"
}

testCorruptSource() {
	make_image map-range-v1 "$tmp/range.gow"
	run gow-convert "$tmp/range.gow" "$tmp/x.tar"
	assertStatus 4
	assertEquals "" "$(find "$tmp" -name 'x*')"
	run gow-convert --salvage "$tmp/range.gow" "$tmp/x.tar"
	assertStatus 4
	run gow-convert "$tmp/x.tar" "$tmp/y.gow"
	assertStatus 0
}

testJson() {
	run gow-convert --json "$work/vm.gow" "$tmp/vm.tar"
	assertJson ".dest_format == \"tar\" and .source_format == \"gow1\" and .digest == \"$digest\"
		and .file_size == $(wc -c <"$tmp/vm.tar") and .exit == 0"
	run gow-convert --json "$tmp/vm.tar" "$tmp/vm.raw"
	assertJson ".dest_format == \"raw\" and .source_format == \"tar\" and .digest == \"$digest\""
}

# ---- what libarchive 3.6 has trouble with ----

# Data at both sides of 8 GiB, where numbers no longer fit a tar header, and holes all over.
testBeyondEightGiB() {
	truncate -s 20G "$tmp/big.raw"
	for block in 0 131071 131072 200000; do
		echo "block $block" | dd of="$tmp/big.raw" bs=65536 seek=$block conv=notrunc status=none
	done
	run gow-convert --member raw "$tmp/big.raw" "$tmp/big.tar"
	assertStatus 0
	for extract in 'tar xSf' 'bsdtar xSf'; do
		mkdir "$tmp/x"
		(cd "$tmp/x" && $extract ../big.tar)
		assertEquals "$extract" 21474836480 "$(stat -c %s "$tmp/x/big.raw")"
		for block in 0 131071 131072 200000; do
			assertEquals "$extract" "block $block" \
				"$(dd if="$tmp/x/big.raw" bs=65536 skip=$block count=1 status=none | head -n 1)"
		done
		run gow-convert "$tmp/x/big.raw" "$tmp/x.gow"
		run gow-check --manifest "$tmp/x/big.manifest" "$tmp/x.gow"
		assertStatus 0
		rm -r "$tmp/x" "$tmp/x.gow"
	done
	# And back, from ours and from GNU tar's and bsdtar's own.
	(cd "$tmp" && tar cSf gnu.tar big.raw && bsdtar cf bsd.tar big.raw &&
		tar --format=posix -cSf posix.tar big.raw)
	for archive in big gnu bsd posix; do
		run gow-convert "$tmp/$archive.tar" "$tmp/back.gow"
		assertStatus 0
		tar xOf "$tmp/big.tar" big.manifest >"$tmp/m"
		run gow-check --manifest "$tmp/m" "$tmp/back.gow"
		assertStatus 0
		rm "$tmp/back.gow"
	done
}

# holes FILE: a hole at the start, a hole at the end.
testHolesAtTheEnds() {
	for where in 0 7 15 none; do
		rm -rf "${tmp:?}"/*
		truncate -s 1M "$tmp/holes.raw"
		[ $where = none ] || echo data | dd of="$tmp/holes.raw" bs=65536 seek=$where conv=notrunc status=none
		run gow-convert --member raw "$tmp/holes.raw" "$tmp/ours.tar"
		assertStatus 0
		(cd "$tmp" && tar cSf gnu.tar holes.raw && bsdtar cf bsd.tar holes.raw)
		mkdir "$tmp/gnu" "$tmp/bsd"
		(cd "$tmp/gnu" && tar xSf ../ours.tar)
		(cd "$tmp/bsd" && bsdtar xSf ../ours.tar)
		assertSameFile "$tmp/holes.raw" "$tmp/gnu/holes.raw"
		assertSameFile "$tmp/holes.raw" "$tmp/bsd/holes.raw"
		for archive in ours gnu bsd; do
			run gow-convert --force "$tmp/$archive.tar" "$tmp/back.raw"
			assertStatus 0
			assertSameFile "$tmp/holes.raw" "$tmp/back.raw"
		done
	done
}

testManyExtents() {
	truncate -s 12G "$tmp/many.raw"
	# Every other of 196,608 blocks has its number in it: six gigabytes, for whoever has the time.
	extents=${GOW_EXTENTS:-10000}
	"$GOW_TESTBIN/mkextents" "$tmp/many.raw" "$extents" ||
		{ fail "mkextents"; return; }
	# Little is left of them when they are compressed; read, but not written.
	run gow-convert --member raw "$tmp/many.raw" "$tmp/many.tar.zst"
	assertStatus 0
	run gow-convert -n --json "$tmp/many.tar.zst" "$tmp/many.gow"
	assertStatus 0
	assertEquals "$("$GOW_TESTBIN/guestdigest" "$tmp/many.raw")" "$(json .digest)"
	assertJson ".data_bytes == $extents * 65536"
	tar xOf "$tmp/many.tar.zst" many.manifest >"$tmp/m"
	assertEquals $((extents + 3)) "$(wc -l <"$tmp/m" | tr -d ' ')"
}

# ---- archives by others ----

testPlainArchives() {
	cd "$work/plain" || return
	tar cf "$tmp/gnu.tar" vm.gow
	tar cf "$tmp/named.tar" ./vm.gow ./vm.manifest
	tar --format=v7 -cf "$tmp/v7.tar" vm.gow vm.manifest
	tar --format=posix -cf "$tmp/pax.tar" vm.gow vm.manifest
	bsdtar cf "$tmp/bsd.tar" vm.manifest vm.gow
	bsdtar --format=cpio -cf "$tmp/bsd.cpio" vm.gow
	printf "%s\n" vm.gow vm.manifest | cpio -o --quiet >"$tmp/bin.cpio"
	printf "%s\n" vm.gow vm.manifest | cpio -o --quiet -H newc >"$tmp/newc.cpio"
	printf "%s\n" vm.gow vm.manifest | cpio -o --quiet -H crc >"$tmp/crc.cpio"
	zip -q "$tmp/a.zip" vm.gow vm.manifest
	zip -q -0 "$tmp/stored.zip" vm.gow
	bsdtar cf "$tmp/b.7z" --format=7zip vm.gow vm.manifest
	7z a -bd "$tmp/a.7z" vm.gow >/dev/null
	for compress in gzip bzip2 xz lzip zstd lz4; do
		command -v $compress >/dev/null || continue
		$compress -c vm.gow >"$tmp/$compress.compressed" 2>/dev/null
		tar cf - vm.gow vm.manifest | $compress -c >"$tmp/$compress.tar" 2>/dev/null
	done
	cd "$work" || return
	gzip -c vm.raw >"$tmp/raw.gz"
	zstd -qc vm.raw >"$tmp/raw.zst"
	tar cSf "$tmp/rawgnu.tar" vm.raw vm.manifest
	tar --format=posix --sparse-version=0.0 -cSf "$tmp/s00.tar" vm.raw vm.manifest
	tar --format=posix --sparse-version=0.1 -cSf "$tmp/s01.tar" vm.raw vm.manifest
	tar --format=posix --sparse-version=1.0 -cSf "$tmp/s10.tar" vm.raw vm.manifest
	zip -q "$tmp/raw.zip" vm.raw
	for archive in "$tmp"/*.tar "$tmp"/*.cpio "$tmp"/*.zip "$tmp"/*.7z "$tmp"/*.compressed \
		"$tmp"/*.gz "$tmp"/*.zst; do
		back "$archive"
	done
}

# An image whose blocks are in another order than the guest's, streamed all the same.
testShuffledImages() {
	cd "$work" || return
	tar cf "$tmp/shuffled.tar" vm.gow vm.manifest
	tar cSf "$tmp/sparse.tar" vm.gow
	gzip -c vm.gow >"$tmp/shuffled.gz"
	zip -q - vm.gow vm.manifest >"$tmp/streamed.zip"
	for archive in "$tmp"/*.tar "$tmp"/*.gz "$tmp"/*.zip; do
		back "$archive"
		run gow-convert "$archive" "$tmp/a.tar.gz"
		assertStatus 0
		back "$tmp/a.tar.gz"
		rm "$tmp/a.tar.gz"
		run gow-convert "$archive" -
		assertStatus 0
		assertSameFile "$work/vm.raw" "$out"
	done
}

testShuffledToDevice() {
	need_root || return 0
	need_tool losetup || return 0
	tar cf "$tmp/shuffled.tar" -C "$work" vm.gow vm.manifest
	head -c 20M /dev/zero | tr '\0' 'x' >"$tmp/device"
	attach_loop "$tmp/device" || return
	run gow-convert --force --verify "$tmp/shuffled.tar" "$loop"
	assertStatus 0
	cmp -n "$(wc -c <"$work/vm.raw")" "$work/vm.raw" "$loop"
	assertTrue "another disk" $?
}

testStandardInput() {
	for archive in "$work/vm.tar" "$tmp/vm.tar.zst" "$tmp/vm.zip"; do
		[ -e "$archive" ] || run gow-convert "$work/vm.gow" "$tmp/vm.tar.zst"
		[ -e "$archive" ] || (cd "$work/plain" && zip -q "$archive" vm.gow)
		cat "$archive" | "$GOW_BIN/gow-convert" - "$tmp/back.raw" >"$out" 2>"$err"
		assertEquals 0 $?
		assertSameFile "$work/vm.raw" "$tmp/back.raw"
		rm "$tmp/back.raw"
	done
	cat "$work/vm.tar" | "$GOW_BIN/gow-convert" -f tar -O raw - - 2>"$err" | cmp - "$work/vm.raw"
	assertTrue "another disk" $?
	# Probing must not eat a raw disk's start.
	cat "$work/vm.raw" | "$GOW_BIN/gow-convert" -O raw - - 2>"$err" | cmp - "$work/vm.raw"
	assertTrue "another disk" $?
}

testMemberName() {
	cd "$work/plain" || return
	cp "$work/vm.raw" other.raw
	tar cf "$tmp/two.tar" vm.gow other.raw vm.manifest
	tar cf "$tmp/twice.tar" vm.gow
	tar --append -f "$tmp/twice.tar" vm.gow
	rm other.raw
	refused 8 "$tmp/two.tar"
	assertErr 'more than one disk.*--member-name'
	back "$tmp/two.tar" --member-name vm.gow
	back "$tmp/two.tar" --member-name ./other.raw
	refused 8 "$tmp/two.tar" --member-name none
	assertErr 'no member of that name'
	refused 8 "$tmp/two.tar" --member-name vm.manifest/
	refused 8 "$tmp/twice.tar" --member-name vm.gow
	assertErr 'two members of that name, of which the last is newer.*--occurrence'
	refused 8 "$tmp/twice.tar"
	assertErr 'two members of that name'
	back "$tmp/twice.tar" --member-name vm.gow --occurrence 1
	back "$tmp/twice.tar" --member-name vm.gow --occurrence 2
	refused 8 "$tmp/twice.tar" --member-name vm.gow --occurrence 3
	assertErr 'not so many members'
	refused 16 "$tmp/twice.tar" --occurrence 1
	refused 16 "$tmp/twice.tar" --member-name vm.gow --occurrence 0
	gzip -c vm.gow >"$tmp/vm.gz"
	refused 8 "$tmp/vm.gz" --member-name vm.gow
}

testOtherEntriesAreNoDisks() {
	mkdir -p "$tmp/in/directory"
	cp "$work/plain/vm.gow" "$tmp/in/directory/vm.gow"
	cp "$work/vm.manifest" "$tmp/in/directory/vm.manifest"
	ln -s /etc/passwd "$tmp/in/link"
	mkfifo "$tmp/in/fifo"
	tar cf "$tmp/a.tar" -C "$tmp/in" .
	back "$tmp/a.tar"
	refused 8 "$tmp/a.tar" --member-name link
	assertErr 'is not a file'
	tar cf "$tmp/none.tar" -C "$tmp/in" link fifo
	refused 8 "$tmp/none.tar"
	assertErr 'no disk in it'
	ln "$tmp/in/directory/vm.gow" "$tmp/in/hard"
	tar cf "$tmp/hard.tar" -C "$tmp/in" directory/vm.gow hard
	back "$tmp/hard.tar"
	refused 8 "$tmp/hard.tar" --member-name hard
}

# What a raw disk may begin with is no archive.
testDisksAreNoArchives() {
	for file in /usr/lib/grub-rescue/grub-rescue-cdrom.iso /usr/lib/grub-rescue/grub-rescue-floppy.img; do
		[ -f $file ] || { skip "no $file"; return; }
		run gow-convert $file "$tmp/disk.raw"
		assertStatus 0
		assertSameFile $file "$tmp/disk.raw"
		rm "$tmp/disk.raw"
	done
	# And an archive is a disk where -f says so.
	run gow-convert -f raw "$work/vm.tar" "$tmp/same.raw"
	assertSameFile "$work/vm.tar" "$tmp/same.raw"
	run gow-convert -f tar "$work/vm.raw" "$tmp/x.raw"
	assertStatus 8
	run gow-convert -f tar "$work/vm.gow" "$tmp/x.raw"
	assertStatus 8
}

# ---- against the manifest ----

testManifestDecides() {
	cp "$work/plain/vm.gow" "$tmp/vm.gow"
	sed 's/^block 1 ./block 1 0/; s/^block 5 ./block 5 1/' "$work/vm.manifest" >"$tmp/vm.manifest"
	tar cf "$tmp/damaged.tar" -C "$tmp" vm.gow vm.manifest
	refused 8 "$tmp/damaged.tar"
	assertErr 'gow-convert: .*/damaged.tar\(vm.manifest\): is a damaged manifest \(line'
	tar cf "$tmp/damaged-first.tar" -C "$tmp" vm.manifest vm.gow
	refused 8 "$tmp/damaged-first.tar"
	assertErr 'gow-convert: .*/damaged-first.tar\(vm.manifest\): is a damaged manifest \(line'
	# Whole, and of another disk.
	cp "$work/vm.raw" "$tmp/vm.raw"
	printf X | dd of="$tmp/vm.raw" bs=1 seek=1000000 conv=notrunc status=none
	"$GOW_TESTBIN/guestdigest" -m "$tmp/vm.raw" >"$tmp/vm.manifest"
	tar cf "$tmp/after.tar" -C "$tmp" vm.gow vm.manifest
	tar cf "$tmp/before.tar" -C "$tmp" vm.manifest vm.gow
	(cd "$tmp" && zip -q mismatch.zip vm.gow vm.manifest)
	cp "$work/vm.gow" "$tmp/vm.gow"
	tar cf "$tmp/shuffled.tar" -C "$tmp" vm.gow vm.manifest
	for archive in after.tar before.tar mismatch.zip shuffled.tar; do
		refused 8 "$tmp/$archive"
		assertErr 'is not what its manifest says'
	done
	head -c 1000000 "$work/vm.raw" >"$tmp/small.raw"
	"$GOW_TESTBIN/guestdigest" -m "$tmp/small.raw" >"$tmp/vm.manifest"
	tar cf "$tmp/size.tar" -C "$tmp" vm.gow vm.manifest
	refused 8 "$tmp/size.tar"
	assertErr 'its manifest is of 1000448'
	# One of somebody else decides nothing.
	mv "$tmp/vm.manifest" "$tmp/other.manifest"
	tar cf "$tmp/other.tar" -C "$tmp" other.manifest vm.gow
	back "$tmp/other.tar"
}

# A file whose size is not a multiple of 512 is not a disk, unless -f says so.
testOddSize() {
	head -c 100000 "$work/vm.raw" >"$tmp/odd.raw"
	"$GOW_TESTBIN/guestdigest" -m "$tmp/odd.raw" >"$tmp/odd.manifest"
	tar cf "$tmp/odd.tar" -C "$tmp" odd.raw odd.manifest
	refused 8 "$tmp/odd.tar"
	assertErr 'odd.raw.*not a multiple of 512'
	gzip -c "$tmp/odd.raw" >"$tmp/odd.gz"
	refused 8 "$tmp/odd.gz"
	assertErr 'not a multiple of 512'
	run gow-convert -f raw --member raw "$tmp/odd.raw" "$tmp/ours.tar"
	assertStatus 0
	assertErr 'not a multiple of 512'
	(cd "$tmp" && tar xf ours.tar odd.manifest odd.raw)
	assertEquals 100352 "$(stat -c %s "$tmp/odd.raw")"
}

# ---- damage ----

testTruncated() {
	run gow-convert "$work/vm.gow" "$tmp/vm.tar.zst"
	run gow-convert "$work/vm.gow" "$tmp/vm.tar.gz"
	run gow-convert "$work/vm.gow" "$tmp/vm.tar.xz"
	run gow-convert "$work/vm.gow" "$tmp/vm.tar.lz4"
	run gow-convert --member raw "$work/vm.gow" "$tmp/raw.tar"
	(cd "$work/plain" && zip -q "$tmp/vm.zip" vm.gow vm.manifest && 7z a -bd "$tmp/vm.7z" vm.gow >/dev/null &&
		printf '%s\n' vm.gow vm.manifest | cpio -o --quiet -H newc >"$tmp/vm.cpio")
	bzip2 -c "$work/vm.tar" >"$tmp/vm.tar.bz2"
	for archive in "$work/vm.tar" "$tmp"/raw.tar "$tmp"/vm.*; do
		size=$(wc -c <"$archive")
		data=$size
		# The end of a plain tar or cpio is padding, which may be missing in part.
		case $archive in
		*.tar) data=$((size / 10240 * 10240 - 10240)) ;;
		*.cpio) data=$((size - 700)) ;;
		esac
		for length in 100 600 $((size / 3)) $((size - size / 10)) $((data - 1000)) $((data - 1)); do
			if [ "$length" -le 0 ] || [ "$length" -ge "$size" ]; then continue; fi
			head -c "$length" "$archive" >"$tmp/cut"
			run gow-convert -f tar "$tmp/cut" "$tmp/refused.gow"
			assertTrue "$archive cut at $length of $size: status $status" "[ $status -eq 8 ] || [ $status -eq 4 ]"
			assertEquals "$archive cut at $length" "" "$(find "$tmp" -name 'refused*' -o -name '.gow-tmp*')"
		done
	done
}

# What is left is too short to look like an archive, or its mark is damaged: it must not be taken
# for a raw disk, which anything can be.
testNothingLeftToKnowItBy() {
	run gow-convert --member raw "$work/vm.gow" "$tmp/raw.tar"
	for suffix in tar tgz tzst tar.zst gz xz lz4 bz2 Z lz zip 7z cpio TAR.GZ; do
		for length in 0 1 5 100 511; do
			head -c "$length" "$tmp/raw.tar" >"$tmp/cut.$suffix"
			refused 8 "$tmp/cut.$suffix"
			assertErr "cut.$suffix: has the name of an archive"
		done
	done
	cp "$tmp/raw.tar" "$tmp/mark.tar"
	printf X | dd of="$tmp/mark.tar" bs=1 seek=259 conv=notrunc status=none
	refused 8 "$tmp/mark.tar"
	assertErr 'say -f raw'
	# Somebody may mean it.
	run gow-convert -f raw "$tmp/cut.tar" "$tmp/meant.raw"
	assertStatus 0
	assertSameFile "$tmp/cut.tar" "$tmp/meant.raw"
	# An image with an archive's name is an image.
	cp "$work/vm.gow" "$tmp/image.tar"
	back "$tmp/image.tar"
}

# The whole archive, but for its end: after the disk, or after the manifest.
testEndIsMissing() {
	gow_end=$((512 + $(stat -c %s "$work/plain/vm.gow")))
	gow_end=$(((gow_end + 511) / 512 * 512))
	head -c "$gow_end" "$work/vm.tar" >"$tmp/cut.tar"
	refused 8 "$tmp/cut.tar"
	assertErr 'cut short: its end is missing'
	head -c $((gow_end + 1024)) "$work/vm.tar" >"$tmp/cut.tar"
	refused 8 "$tmp/cut.tar"
	head -c $((gow_end + 1024 + 512)) "$work/vm.tar" >"$tmp/cut.tar"
	refused 8 "$tmp/cut.tar"
	head -c $((gow_end + 1024 + 1024)) "$work/vm.tar" >"$tmp/cut.tar"
	back "$tmp/cut.tar"
}

testTrailingJunk() {
	run gow-convert "$work/vm.gow" "$tmp/vm.tar.zst"
	run gow-convert "$work/vm.gow" "$tmp/vm.tar.gz"
	run gow-convert "$work/vm.gow" "$tmp/vm.tar.xz"
	run gow-convert "$work/vm.gow" "$tmp/vm.tar.lz4"
	bzip2 -c "$work/vm.tar" >"$tmp/vm.tar.bz2"
	cp "$work/vm.tar" "$tmp/vm.tar"
	(cd "$work/plain" && zip -q "$tmp/vm.zip" vm.gow vm.manifest && 7z a -bd "$tmp/vm.7z" vm.gow >/dev/null &&
		printf '%s\n' vm.gow vm.manifest | cpio -o --quiet -H newc >"$tmp/vm.cpio")
	gzip -c "$work/vm.raw" >"$tmp/vm.raw.gz"
	for archive in "$tmp"/vm.*; do
		{ cat "$archive" && echo 'junk behind it'; } >"$tmp/junk"
		refused 8 "$tmp/junk" -f tar
		{ cat "$archive" && head -c 4096 /dev/urandom; } >"$tmp/junk"
		refused 8 "$tmp/junk" -f tar
	done
	# Junk inside what is compressed.
	{ cat "$work/vm.tar" && echo junk; } | gzip -c >"$tmp/junk.tar.gz"
	refused 8 "$tmp/junk.tar.gz"
	# More padding is none.
	{ cat "$work/vm.tar" && head -c 100000 /dev/zero; } >"$tmp/padded.tar"
	back "$tmp/padded.tar"
}

# A byte changed anywhere is found by some sum or by the manifest. (Some bytes of headers mean
# nothing: then the disk has to be the right one.)
testChangedBytes() {
	run gow-convert "$work/vm.gow" "$tmp/vm.tar.zst"
	run gow-convert "$work/vm.gow" "$tmp/vm.tar.gz"
	run gow-convert "$work/vm.gow" "$tmp/vm.tar.xz"
	run gow-convert --member raw "$work/vm.gow" "$tmp/raw.tar"
	(cd "$work/plain" && zip -q "$tmp/vm.zip" vm.gow)
	for archive in "$work/vm.tar" "$tmp"/vm.* "$tmp"/raw.tar; do
		size=$(wc -c <"$archive")
		for at in 0 3 5 100 130 150 513 600 $((size / 3)) $((size - size / 4)) $((size - 12000)) \
			$((size - 10)); do
			[ "$at" -ge 0 ] || continue
			cp "$archive" "$tmp/changed"
			byte=$(od -An -tu1 -j "$at" -N 1 "$archive" | tr -d ' ')
			# shellcheck disable=SC2059 # the digits are the format
			printf "\\$(printf %03o $((byte ^ 0x55)))" |
				dd of="$tmp/changed" bs=1 seek="$at" conv=notrunc status=none
			run gow-convert -f tar "$tmp/changed" "$tmp/back.raw"
			case $status in
			0) assertSameFile "$work/vm.raw" "$tmp/back.raw" ;;
			4 | 8) assertEquals "$archive changed at $at" "" "$(find "$tmp" -name 'back*' -o -name '.gow-tmp*')" ;;
			*) gow_assert 1 "$archive changed at $at: status $status" ;;
			esac
			rm -f "$tmp/back.raw"
		done
	done
}

# Sums of what is compressed by itself: with nothing but those, a disk is whole.
# One form of cpio has sums of its members.
testSumsOfCpio() {
	cp "$work/vm.raw" "$tmp/vm.raw"
	head -c 70000 /dev/urandom >"$tmp/a.txt"
	for names in vm.raw 'a.txt
vm.raw
a.txt'; do
		(cd "$tmp" && echo "$names" | cpio -o --quiet -H crc >good.cpio)
		cp "$tmp/good.cpio" "$tmp/bad.cpio"
		printf XYZ | dd of="$tmp/bad.cpio" bs=1 seek=1000000 conv=notrunc status=none
		gzip -kf "$tmp/good.cpio" "$tmp/bad.cpio"
		back "$tmp/good.cpio"
		back "$tmp/good.cpio.gz"
		cat "$tmp/good.cpio" | "$GOW_BIN/gow-convert" -q -O raw - - 2>"$err" | cmp - "$work/vm.raw"
		assertTrue "another disk" $?
		for archive in bad.cpio bad.cpio.gz; do
			refused 8 "$tmp/$archive"
			assertErr 'vm.raw.*contradicts the sum in its header'
		done
		cat "$tmp/bad.cpio" | "$GOW_BIN/gow-convert" - "$tmp/x.raw" 2>"$err"
		assertEquals "from a pipe" 8 $?
		assertFalse "a file" "[ -e '$tmp/x.raw' ]"
	done
}

testSumsOfCompression() {
	for compress in gzip 'zstd -q' xz 'lz4 -q' bzip2; do
		$compress -c "$work/vm.raw" >"$tmp/whole"
		back "$tmp/whole"
		size=$(wc -c <"$tmp/whole")
		# The sum itself, or what is just before it.
		for at in $((size - 4)) $((size - 6)) $((size / 2)); do
			cp "$tmp/whole" "$tmp/changed"
			byte=$(od -An -tu1 -j "$at" -N 1 "$tmp/whole" | tr -d ' ')
			# shellcheck disable=SC2059 # the digits are the format
			printf "\\$(printf %03o $((byte ^ 0x10)))" |
				dd of="$tmp/changed" bs=1 seek="$at" conv=notrunc status=none
			refused 8 "$tmp/changed"
		done
	done
	# Streams that follow one another are one.
	head -c 1000000 "$work/vm.raw" | gzip -c >"$tmp/two.gz"
	tail -c +1000001 "$work/vm.raw" | gzip -c >>"$tmp/two.gz"
	back "$tmp/two.gz"
	gzip -c "$tmp/two.gz" >"$tmp/twice.gz"
	refused 8 "$tmp/twice.gz"
	assertErr 'compressed twice'
	# A stream without a sum might be a tar file with a damaged start.
	zstd -q --no-check -c "$work/vm.raw" >"$tmp/unsealed.zst"
	refused 8 "$tmp/unsealed.zst"
	assertErr 'no sum that would prove'
	zstd -q --no-check -c "$work/vm.gow" >"$tmp/image.zst"
	back "$tmp/image.zst"
}

# ---- hostile ----

testClaims() {
	truncate -s 300G "$tmp/huge.raw"
	tar cSf "$tmp/huge.tar" -C "$tmp" huge.raw
	refused 8 "$tmp/huge.tar"
	assertErr 'more than any image holds'
	truncate -s 100G "$tmp/huge.raw"
	tar --force-local -cSf "$tmp/large.tar" -C "$tmp" huge.raw
	run gow-convert -O gow1 "$tmp/large.tar" "$tmp/x.gow"
	assertStatus 8
	assertErr 'more than version 1 holds'
	# An image that says it has far more blocks than a map can name.
	cp "$work/vm.gow" "$tmp/vm.gow"
	truncate -s 200G "$tmp/vm.gow"
	tar cSf "$tmp/blocks.tar" -C "$tmp" vm.gow
	refused 8 "$tmp/blocks.tar"
	assertErr 'more than an image of the layout gow1 can'
	truncate -s 100G "$tmp/vm.gow"
	tar cSf "$tmp/leaks.tar" -C "$tmp" vm.gow
	run maxrss "$tmp/peak" "$GOW_BIN/gow-convert" "$tmp/leaks.tar" "$tmp/x.raw"
	assertStatus 0
	assertSameFile "$work/vm.raw" "$tmp/x.raw"
	[ -n "${SANITIZE:-}" ] ||
		assertTrue "$(cat "$tmp/peak") KiB of memory" "[ $(cat "$tmp/peak") -lt 65536 ]"
}

# The digits of the map are changed, and nothing else, so that all lengths and sums hold.
testWrongSparseMaps() {
	truncate -s 1000448 "$tmp/vm.raw"
	head -c 4096 /dev/urandom | dd of="$tmp/vm.raw" conv=notrunc status=none
	head -c 4096 /dev/urandom | dd of="$tmp/vm.raw" bs=4096 seek=32 conv=notrunc status=none
	tar --format=posix --sparse-version=0.1 -cSf "$tmp/right.tar" -C "$tmp" vm.raw
	grep -aq '=0,4096,131072,4096,' "$tmp/right.tar" ||
		{ skip "no holes on this file system"; return; }
	run gow-convert "$tmp/right.tar" "$tmp/back.raw"
	assertStatus 0
	assertSameFile "$tmp/vm.raw" "$tmp/back.raw"
	# More data than there is, less, one on the other, backwards, past the end.
	for map in 0,4096,131072,8192 0,8192,131072,4096 0,4096,131072,1024 0,4096,001072,4096 \
		8,4096,000000,4096 0,4096,999999,4096 0,4096,131072,-096; do
		LC_ALL=C sed "s/=0,4096,131072,4096,/=$map,/" "$tmp/right.tar" >"$tmp/wrong.tar"
		refused 8 "$tmp/wrong.tar"
	done
}

# field FILE OFFSET TEXT: puts it there.
field() {
	printf '%s' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# old_sparse DISK TAR MAP: DISK (of whole sectors) as a member of GNU's old sparse form (type S),
# whose header maps it as MAP says: OFFSET:LENGTH...
old_sparse() {
	tar --format=gnu -cf "$2" -C "$(dirname "$1")" "$(basename "$1")"
	field "$2" 156 S
	gow_at=386
	for gow_run in $3; do
		field "$2" $gow_at "$(printf %011o "${gow_run%:*}")"
		field "$2" $((gow_at + 12)) "$(printf %011o "${gow_run#*:}")"
		gow_at=$((gow_at + 24))
	done
	field "$2" 483 "$(printf %011o "$(stat -c %s "$1")")"
	field "$2" 148 '        '
	field "$2" 148 "$(od -An -v -tu1 -N 512 "$2" |
		awk '{ for (i = 1; i <= NF; i++) sum += $i } END { printf "%06o", sum }')"
	printf '\0' | dd of="$2" bs=1 seek=154 conv=notrunc status=none
}

# One run that is the whole member: libarchive drops such a list, and left us its remains to walk.
testSparseMapOfOneRun() {
	for size in 512 65536; do
		head -c $size "$work/vm.raw" >"$tmp/one.raw"
		for map in "0:$size" "0:$size $size:0" "$size:0 0:$size" "0:512 512:$((size - 512))"; do
			old_sparse "$tmp/one.raw" "$tmp/one.tar" "$map"
			run gow-convert -f tar "$tmp/one.tar" "$tmp/back.raw"
			assertTrue "$map: status $status" "[ $status -eq 0 ] || [ $status -eq 8 ]"
			[ $status -ne 0 ] || assertSameFile "$tmp/one.raw" "$tmp/back.raw"
			rm -f "$tmp/back.raw"
		done
		old_sparse "$tmp/one.raw" "$tmp/one.tar" "0:$size"
		run gow-convert "$tmp/one.tar" "$tmp/back.raw"
		assertStatus 0
		rm -f "$tmp/back.raw"
	done
}

# Corrupt images are refused before a block of them is believed.
testCorruptMembers() {
	for case in map-range-v1 map-crosslink-v1 map-beyond-size-v1 header-size-v1 header-truncated-v1 \
		header-count-low-v1 journal-missing-v1; do
		[ -d "$fixtures/$case" ] || continue
		rm -rf "${tmp:?}"/*
		make_image $case "$tmp/vm.gow"
		tar cf "$tmp/vm.tar" -C "$tmp" vm.gow
		gzip -c "$tmp/vm.gow" >"$tmp/vm.gz"
		refused 4 "$tmp/vm.tar"
		refused 4 "$tmp/vm.gz"
	done
	printf 'GOW\0\11\0\0\0and so on' >"$tmp/vm.gow"
	tar cf "$tmp/vm.tar" -C "$tmp" vm.gow
	refused 8 "$tmp/vm.tar"
	# A block that the stream ends before, found only at its end.
	head -c $((4194324 + 65536)) "$work/vm.gow" | gzip -c >"$tmp/short.gz"
	refused 4 "$tmp/short.gz"
}

# What is not read is not called damaged.
testWhatIsNoDamage() {
	need_tool 7z zip || return 0
	cd "$work" || return
	7z a -bd "$tmp/a.7z" vm.raw >/dev/null
	cat "$tmp/a.7z" | "$GOW_BIN/gow-convert" - "$tmp/x.raw" 2>"$err"
	assertEquals "from a pipe" 8 $?
	assertErr '7z.*pipe.*save it to a file'
	assertNoErr damaged
	assertFalse "a file" "[ -e '$tmp/x.raw' ]"
	7z a -bd -psecret "$tmp/b.7z" vm.raw >/dev/null
	7z a -bd -psecret -mhe=on "$tmp/c.7z" vm.raw >/dev/null
	zip -q -P secret "$tmp/d.zip" vm.raw
	for archive in b.7z c.7z d.zip; do
		refused 8 "$tmp/$archive"
		assertErr "$archive.*is encrypted.*unpack it first"
		assertNoErr damaged
	done
}

# Of an archive in several volumes each is a tar file, and the last one is whole, with the rest of a
# disk in it.
testVolumes() {
	size=$(stat -c %s "$work/vm.raw")
	cp "$work/vm.raw" "$tmp/vm.raw"
	cp "$work/vm.raw" "$tmp/other.raw"
	for form in gnu oldgnu posix; do
		for label in '' '--label=backup'; do
			rm -f "$tmp"/*.tar
			tar --format=$form -c -M $label -L $((size * 2 / 3072)) -f "$tmp/v1.tar" -f "$tmp/v2.tar" \
				-f "$tmp/v3.tar" -f "$tmp/v4.tar" -C "$tmp" vm.raw other.raw
			for volume in 2 3 4; do
				[ -f "$tmp/v$volume.tar" ] || continue
				refused 8 "$tmp/v$volume.tar"
				assertErr 'later volume of a tar archive.*tar -xM'
				gzip -c "$tmp/v$volume.tar" >"$tmp/v.tgz"
				refused 8 "$tmp/v.tgz"
				assertErr 'later volume'
				cat "$tmp/v$volume.tar" | "$GOW_BIN/gow-convert" - "$tmp/x.raw" 2>"$err"
				assertEquals "from a pipe" 8 $?
				assertErr 'later volume'
			done
			assertTrue "$form has no third volume" "[ -f '$tmp/v3.tar' ]"
			refused 8 "$tmp/v1.tar"
			assertErr 'Truncated.*first of several volumes.*tar -xM'
		done
	done
	# A member that a later volume has whole can be had; its first cannot.
	head -c 65536 "$work/vm.raw" >"$tmp/small.raw"
	for form in gnu posix; do
		tar --format=$form -c -M -L $((size / 1024 - 20)) -f "$tmp/v1.tar" -f "$tmp/v2.tar" \
			-f "$tmp/v3.tar" -C "$tmp" vm.raw small.raw
		run gow-convert --member-name small.raw "$tmp/v2.tar" "$tmp/x.raw"
		assertStatus 0
		assertSameFile "$tmp/small.raw" "$tmp/x.raw"
		rm "$tmp/x.raw"
		refused 8 "$tmp/v2.tar" --member-name "$(tar tf "$tmp/v2.tar" 2>/dev/null | head -n 1)"
	done
	# A label alone does no harm.
	for form in gnu posix; do
		tar --format=$form --label=backup -cf "$tmp/label.tar" -C "$work" vm.raw
		back "$tmp/label.tar"
	done
}

# Names of members are never names of files.
testHostileNames() {
	cd "$tmp" || return
	mkdir in
	cp "$work/plain/vm.gow" in/vm.gow
	for name in /etc/gow-evil.gow ../../evil.gow "$(printf 'esc\033[31m.gow')"; do
		# GNU tar renames what it packs.
		tar cPf hostile.tar --transform "s|.*|$name|" -C in vm.gow 2>/dev/null
		back hostile.tar
		assertEquals "" "$(find /etc "$tmp/.." -maxdepth 2 -name '*evil*' 2>/dev/null)"
	done
	{ cat in/vm.gow && echo x; } >in/x && mv in/x in/vm.gow
	tar cPf hostile.tar --transform 's|.*|../../evil|;s|$|.manifest|' -C in vm.gow
	refused 8 hostile.tar
	: >in/empty.raw
	tar cf empty.tar -C in empty.raw
	run gow-convert empty.tar x.gow
	assertTrue "an empty disk: $status" "[ $status -ne 0 ]"
	# A list of files that libarchive would go and open.
	printf '#mtree\nvm.gow type=file content=/etc/passwd\n' >list.mtree
	refused 8 list.mtree -f tar
}

testNoArchives() {
	head -c 5000 /dev/zero >"$tmp/zeros"
	refused 8 "$tmp/zeros" -f tar
	: >"$tmp/empty"
	refused 8 "$tmp/empty" -f tar
	printf '\037\213\010' >"$tmp/start.gz"
	refused 8 "$tmp/start.gz"
	gzip -c </dev/null >"$tmp/nothing.gz"
	run gow-convert "$tmp/nothing.gz" "$tmp/x.gow"
	assertTrue "status $status" "[ $status -ne 0 ]"
	head -c 10240 /dev/zero >"$tmp/no-members.tar"
	refused 8 "$tmp/no-members.tar" -f tar
}

# ---- nothing is left behind ----

testDiskFull() {
	need_root || return 0
	mount_tmpfs 2m || return
	head -c 8M /dev/urandom >"$tmp/random.raw"
	for dest in a.tar a.tar.zst; do
		run gow-convert --member raw "$tmp/random.raw" "$mnt/$dest"
		assertStatus 8
		assertErr 'No space left|needs [0-9]+ bytes'
		assertEquals "" "$(ls -A "$mnt")"
	done
	run gow-convert --member raw "$tmp/random.raw" "$tmp/random.tar.zst"
	run gow-convert "$tmp/random.tar.zst" "$mnt/back.raw"
	assertStatus 8
	assertEquals "" "$(ls -A "$mnt")"
}

testFailingCalls() {
	for call in write:1 write:2 sync:1 rename:1; do
		run_faulty FAULTIO_FILE="$tmp/*" FAULTIO_FAIL="$call:EIO" \
			gow-convert "$work/vm.gow" "$tmp/vm.tar"
		assertStatus 8
		assertEquals "$call" "" "$(find "$tmp" -name 'vm*' -o -name '.gow-tmp*')"
	done
	gzip -nc "$work/vm.tar" >"$tmp/in.tar.gz"
	(cd "$work/plain" && bsdtar -cf "$tmp/in.zip" --format zip vm.gow vm.manifest)
	cp "$work/vm.tar" "$tmp/in.tar"
	cp "$work/vm.raw" "$tmp/in.raw"
	# How many reads there are is libarchive's affair: each that is met is the error, whatever it
	# was for.
	for archive in in.tar in.tar.gz in.zip in.raw; do
		failed=0
		for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
			run_faulty FAULTIO_FILE="*/$archive" FAULTIO_FAIL="read:$n:EIO" \
				gow-convert "$tmp/$archive" "$tmp/vm.raw"
			[ "$status" -ne 0 ] || break # there are fewer
			failed=$((failed + 1))
			assertStatus 8
			assertErr 'Input/output error'
			assertEquals "$archive $n" "" "$(find "$tmp" -name 'vm*' -o -name '.gow-tmp*')"
		done
		assertTrue "$archive: $failed reads" "[ $failed -ge 3 ]"
		[ "$status" -ne 0 ] || assertSameFile "$work/vm.raw" "$tmp/vm.raw"
		rm -f "$tmp/vm.raw"
	done
}

testStopped() {
	run_faulty FAULTIO_FILE='*/vm.gow' FAULTIO_FAIL=read:6:signal=2 gow-convert "$work/vm.gow" "$tmp/vm.tar"
	assertStatus 32
	run_faulty FAULTIO_FILE='*/vm.tar' FAULTIO_FAIL=read:6:signal=15 gow-convert "$work/vm.tar" "$tmp/vm.raw"
	assertStatus 32
	assertEquals "" "$(find "$tmp" -name 'vm*' -o -name '.gow-tmp*')"
	# Standard output gets no end that would make it look whole.
	run_faulty FAULTIO_FILE='*/vm.gow' FAULTIO_FAIL=read:6:signal=15 gow-convert -O tar "$work/vm.gow" -
	assertStatus 32
	! bsdtar tf "$out" >/dev/null 2>&1 || [ "$(tar tf "$out" 2>/dev/null | wc -l)" -lt 2 ]
	assertTrue "it looks whole" $?
}

# Memory does not grow with the disk.
testMemory() {
	[ -z "${SANITIZE:-}" ] || { skip "sanitizers take memory of their own"; return; }
	cat >"$tmp/recipe" <<'END'
version 3
size 256G
map 0-999999 0
blocks 1000000
data 0-99 pattern 1
END
	make_image "$tmp/recipe" "$tmp/large.gow"
	run maxrss "$tmp/peak" "$GOW_BIN/gow-convert" --drop-zeros "$tmp/large.gow" "$tmp/large.tar"
	assertStatus 0
	assertTrue "$(cat "$tmp/peak") KiB" "[ $(cat "$tmp/peak") -lt 65536 ]"
}

testProgress() {
	run gow-convert --progress=json "$work/vm.gow" "$tmp/vm.tar.gz"
	assertStatus 0
	assertErr '"phase": ?"copy"'
	assertErr "\"total\": ?$(wc -c <"$work/vm.raw" | tr -d ' ')"
}

# Every format and option that the usual programs write: the right disk, or an error that leaves
# nothing.  What is no archive but a disc of its own is not tried.
testWhatOtherProgramsWrite() {
	printf 'version 1\nsize 320K\nmap 0 0\nmap 3 1\ndata 0 text "a disk"\ndata 1 last 55\n' >"$tmp/recipe"
	make_raw "$tmp/recipe" "$tmp/disk"
	"$top/tests/fuzz/archives" "$tmp/disk" "$tmp/archives"
	taken=0
	for archive in "$tmp/archives"/*; do
		case $archive in */bsd-raw | */bsd-*9660) continue ;; esac
		run gow-convert "$archive" "$tmp/out.raw"
		if [ "$status" -eq 0 ]; then
			cmp -s "$tmp/disk" "$tmp/out.raw" || fail "${archive##*/} is another disk"
			rm -f "$tmp/out.raw"
			taken=$((taken + 1))
		else
			assertEquals "${archive##*/}" 8 "$status"
			assertFalse "${archive##*/} leaves a file" "[ -e '$tmp/out.raw' ]"
		fi
	done
	assertTrue "only $taken are read" "[ $taken -ge 20 ]"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
