#!/bin/sh
# What a file is: nothing but a raw disk is taken for one.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

suiteSetUp() {
	printf '%s\n' 'version 1' 'size 1M' 'map 0 0' 'map 3 1' 'data 0-1 pattern 3' >"$work/recipe"
	make_image "$work/recipe" "$work/vm.gow"
	make_raw "$work/recipe" "$work/disk.raw"
}

# refused RE SOURCE [OPTION...]: with status 8, such a message, and no new file, of any form.
refused() {
	gow_re=$1 gow_source=$2
	shift 2
	for gow_form in ${gow_forms:-raw gow tar}; do
		run gow-convert "$@" "$gow_source" "$tmp/refused.$gow_form"
		assertStatus 8
		assertOutEmpty
		assertErr "$gow_re"
		assertEquals "made of $gow_source" "" "$(find "$tmp" -name 'refused*' -o -name '.gow-tmp*')"
	done
}

# everywhere RE FILE: refused as it is, from a pipe, with --salvage, in archives and compressed;
# and taken with -f raw.
everywhere() {
	gow_forms=raw
	refused "$1" "$2"
	refused "$1" "$2" --salvage
	run gow-convert - "$tmp/refused.raw" <"$2"
	assertStatus 8
	assertErr "$1"
	# shellcheck disable=SC2002
	cat "$2" | "$GOW_BIN/gow-convert" - "$tmp/refused.gow" >"$out" 2>"$err"
	assertEquals "from a pipe" 8 $?
	assertErr "$1"
	cp "$2" "$tmp/member.img"
	tar cf "$tmp/a.tar" -C "$tmp" member.img
	(cd "$tmp" && zip -q a.zip member.img)
	gzip -c "$2" >"$tmp/a.img.gz"
	for gow_archive in "$tmp/a.tar" "$tmp/a.zip" "$tmp/a.img.gz"; do
		refused "$1" "$gow_archive"
	done
	refused "$1" "$tmp/a.tar" --member-name member.img
	gow_forms=
	run gow-convert -f raw "$2" "$tmp/meant.raw"
	assertStatus 0
	cmp -n "$(stat -c %s "$2")" "$2" "$tmp/meant.raw"
	assertTrue "another disk" $?
	rm -f "$tmp"/a.* "$tmp/meant.raw" "$tmp/member.img"
}

testOtherDiskFormats() {
	need_tool qemu-img || return 0
	for format in qcow2:qcow2 qcow:qcow vmdk:VMDK vdi:VDI vpc:VHD vhdx:VHDX qed:QED \
		parallels:Parallels; do
		qemu-img convert -f raw -O "${format%:*}" "$work/disk.raw" "$tmp/image.img" ||
			{ fail "no ${format%:*}"; continue; }
		truncate -s %512 "$tmp/image.img"
		everywhere "is a ${format#*:} image; convert it to raw first .qemu-img" "$tmp/image.img"
	done
	qemu-img convert -f raw -O vpc -o subformat=fixed,force_size "$work/disk.raw" "$tmp/image.img"
	everywhere 'is a VHD image' "$tmp/image.img"
	{ printf '# Disk DescriptorFile\nversion=1\n' && head -c 5000 /dev/zero; } >"$tmp/image.img"
	truncate -s 1024 "$tmp/image.img"
	everywhere 'is a VMDK image' "$tmp/image.img"
}

testOtherToolsSayItToo() {
	printf 'QFI\373\0\0\0\003' >"$tmp/x.gow"
	truncate -s 1M "$tmp/x.gow"
	for tool in gow-check gow-info; do
		run $tool --json "$tmp/x.gow"
		assertStatus 8
		assertErr 'is a qcow2 image'
		assertJson '.error == "not-gow" and (.message | test("is a qcow2 image"))'
	done
}

# Zeros behind what was compressed lose nothing; anything else is refused.
testPaddedStreams() {
	for compress in gzip bzip2 xz; do
		tar cf - -C "$work" disk.raw | $compress -c >"$tmp/plain"
		{ cat "$tmp/plain" && head -c 10240 /dev/zero; } >"$tmp/padded"
		back "$tmp/padded"
		{ cat "$tmp/padded" && echo x; } >"$tmp/junk"
		refused 'follows the end|damaged' "$tmp/junk"
	done
}

# What -f raw took is written like any other disk, and proved to be it.
testMeantIsVerified() {
	packed x.img 'QFI\373\0\0\0\003'
	for dest in a.raw a.gow a.tar a.tar.zst; do
		run gow-convert -f raw --member raw --verify "$tmp/x.img" "$tmp/$dest"
		assertStatus 0
	done
}

# A word inside, or at the end, makes no other format of a disk.
testWordsInsideADisk() {
	for word in 'QFI\373\0\0\0\2' conectix KDMV 'koly' 'PK\005\006' 'gow-manifest 1'; do
		cp "$work/disk.raw" "$tmp/disk.raw"
		for at in 512 65536 $((1048576 - 512)); do
			# shellcheck disable=SC2059
			printf "$word" | dd of="$tmp/disk.raw" bs=1 seek=$at conv=notrunc status=none
		done
		run gow-convert --force --verify "$tmp/disk.raw" "$tmp/b.raw"
		assertStatus 0
		assertSameFile "$tmp/disk.raw" "$tmp/b.raw"
	done
}

# packed NAME BYTES: a file of 2048 bytes that begins so.
packed() {
	# shellcheck disable=SC2059
	{ printf -- "$2" && head -c 2048 /dev/zero | tr '\0' x; } >"$tmp/$1"
	truncate -s 2048 "$tmp/$1"
}

testPackedData() {
	for case in 'lzma \135\0\0\200\0\377\377\377\377\377\377\377\377\0' 'lzop \211LZO\0\r\n\032\n' \
		'legacy \002\041\114\030' 'lrzip LRZI' 'xar xar!\0' 'ar !<arch>\n' 'warc WARC/1.0\r\n' \
		'rpm \355\253\356\333' 'RAR Rar!\032\007\0' 'RAR Rar!\032\007\001\0' 'cabinet MSCF\0\0\0\0' \
		'LHA \040\0-lh5-\0\0\0\0\0\0\0\0\0\0\0\0\0\001' 'WIM MSWIM\0\0\0' 'EWF EVF\t\r\n\377\0' \
		'partclone partclone-image' 'uuencoded begin 644 disk\n' 'base64 begin-base64 644 d\n' \
		'age age-encryption.org/v1\n' 'PGP -----BEGIN PGP MESSAGE-----\n' 'openssl Salted__'; do
		packed x.img "${case#* }"
		everywhere "is .*${case%% *}" "$tmp/x.img"
	done
	# And what the tools make of a disk.
	for tool in lzop lzma 'lz4 -lq'; do
		need_tool "${tool%% *}" || continue
		$tool -c "$work/disk.raw" >"$tmp/x.img"
		truncate -s %512 "$tmp/x.img"
		refused 'unpack it first' "$tmp/x.img"
	done
	{ head -c 1048064 "$work/disk.raw" && printf 'koly\0\0\0\004\0\0\002\0' && head -c 500 /dev/zero; } \
		>"$tmp/x.img"
	everywhere 'is an Apple disk image' "$tmp/x.img"
}

testOtherPrograms() {
	gow_forms=raw
	for case in 'CD.image \0\377\377\377\377\377\377\377\377\377\377\0' 'floppy IMD 1.18: ' 'floppy TD\0' \
		'floppy HXCPICFE' 'floppy DMS!' 'another.program \264nhD' 'another.program IsZ!' \
		'old.version \047\265/\375' 'old.version \036\265/\375' 'lizard \006\042M\030' 'bzip3 BZ3v1' \
		'compress.exe SZDD\210\360\0473A' 'memory LinuxGuestRecord' 'memory \177VirtualBox SavedState V2' \
		'memory QEVM' 'sound ID3\003' 'picture II*\0'; do
		packed x.img "${case#* }"
		refused "is (a|an|the)? ?.*${case%% *}" "$tmp/x.img"
	done
	# What lies beside a disk where others packed it does not count.
	mkdir "$tmp/beside"
	cp "$work/disk.raw" "$tmp/beside/disk.raw"
	packed beside/._disk.raw '\000\005\026\007'
	packed beside/.DS_Store '\000\000\000\001Bud1'
	packed beside/OVMF_VARS.fd '0123456789012345678901234567890123456789_FVH'
	tar cf "$tmp/beside.tar" -C "$tmp/beside" .
	run gow-convert --force "$tmp/beside.tar" "$tmp/back.raw"
	assertStatus 0
	assertSameFile "$work/disk.raw" "$tmp/back.raw"
	for name in x.vbk x.mrimg x.isz x.bz3 x.zz x.vmrs x.dms; do
		packed "$name" ''
		refused 'has the name of .* -f raw' "$tmp/$name"
	done
	gow_forms=
}

# What is no disk and has the size of one every time, or by chance.
testSizesOfADisk() {
	gow_forms=raw
	twelve='123456789012'
	for case in 'database 1234\357\315\253\211' 'database 1234567890123456\336\300\357\276' 'database !BDN' \
		"database $twelve"'a\025\006\0' "database $twelve"'b1\005\0' "database $twelve"'\0\005\061\142' \
		'GDBM \317\232\127\023' 'registry LPKSHHRH' 'registry ElfFile\0' 'registry regf' \
		'kernel ANDROID!' 'kernel \320\015\376\355' 'core MDMP\223\247'; do
		packed x.img "${case#* }"
		refused "is a.*${case%% *}" "$tmp/x.img"
	done
	packed x.pst ''
	refused 'has the name of a database' "$tmp/x.pst"
	# A kernel has a boot sector's mark, too.
	packed x.img 'MZ'
	printf '\100\0\0\0PE\0\0' | dd of="$tmp/x.img" bs=1 seek=60 conv=notrunc status=none
	printf '\125\252' | dd of="$tmp/x.img" bs=1 seek=510 conv=notrunc status=none
	refused 'is a Windows program' "$tmp/x.img"
	gow_forms=
}

# A text is one by what it looks like.
testTexts() {
	seq 1 10000 | head -c 20480 >"$tmp/x.img"
	everywhere 'is a plain text' "$tmp/x.img"
	yes 'Größe: 3 €,' | head -c 1024 >"$tmp/x.img"
	everywhere 'is a plain text' "$tmp/x.img"
	yes 'der Datenträger' | head -c 512 | tr '\n' '\r' >"$tmp/x.img"
	refused 'is a plain text' "$tmp/x.img"
	# Members that are texts do not count beside a disk.
	yes 'read me' | head -c 1024 >"$tmp/LICENSE"
	cp "$work/disk.raw" "$tmp/disk.raw"
	tar cf "$tmp/two.tar" -C "$tmp" LICENSE disk.raw
	run gow-convert "$tmp/two.tar" "$tmp/back.raw"
	assertStatus 0
	assertSameFile "$work/disk.raw" "$tmp/back.raw"
	# What erased a disk, letters of other sets, and a text behind the first sector are none.
	head -c 65536 /dev/zero | tr '\0' U >"$tmp/x1.img"
	yes 'Gr\366\337e' | head -c 1024 | LC_ALL=C sed 's/$/'"$(printf '\366')"'/' | head -c 1024 >"$tmp/x2.img"
	{ head -c 512 /dev/zero && seq 1 1000 | head -c 512; } >"$tmp/x3.img"
	for disk in "$tmp"/x?.img; do
		run gow-convert --force "$disk" "$tmp/back.raw"
		assertStatus 0
		assertSameFile "$disk" "$tmp/back.raw"
	done
}

testNames() {
	head -c 4096 /dev/urandom >"$tmp/random"
	for name in x.rar x.tlz x.tar.gpg x.img.gz.part x.age x.7z.002 x.z01 x.r00 x.qcow2 x.VMDK x.ova \
		x.deb x.iso.zst x.txt x.manifest x.img.crdownload; do
		cp "$tmp/random" "$tmp/$name"
		refused 'has the name of .* -f raw' "$tmp/$name"
		tar cf "$tmp/a.tar" -C "$tmp" "$name"
		refused 'no disk in it|damaged manifest' "$tmp/a.tar"
		run gow-convert -f raw "$tmp/$name" "$tmp/meant.raw"
		assertStatus 0
		rm "$tmp/meant.raw" "$tmp/$name"
	done
	for name in x x.img x.raw x.iso x.bin x.dd x.1 x.example.org; do
		cp "$work/disk.raw" "$tmp/$name"
		run gow-convert "$tmp/$name" "$tmp/meant.gow"
		assertStatus 0
		rm "$tmp/meant.gow"
	done
}

# The medium of a CD is a disk like any other, also where there is a disk on it; -f tar looks inside.
testIso() {
	need_tool bsdtar || return 0
	cp "$work/disk.raw" "$tmp/disk.raw"
	bsdtar --format=iso9660 -cf "$tmp/cd.iso" -C "$tmp" disk.raw
	tar cf "$tmp/cd.tar" -C "$tmp" cd.iso
	gzip -c "$tmp/cd.iso" >"$tmp/cd.iso.gz"
	cp "$tmp/cd.iso" "$tmp/cd.img"
	for source in cd.iso cd.img cd.tar cd.iso.gz; do
		run gow-convert --force --json "$tmp/$source" "$tmp/cd.gow"
		assertStatus 0
		assertJson '.recognized == "iso9660"'
		run gow-convert --force "$tmp/cd.gow" "$tmp/back.raw"
		assertSameFile "$tmp/cd.iso" "$tmp/back.raw"
	done
	run gow-convert --force --json - "$tmp/back.raw" <"$tmp/cd.iso"
	assertJson '.recognized == "iso9660"'
	assertSameFile "$tmp/cd.iso" "$tmp/back.raw"
	for form in raw gow; do
		run gow-convert --force -f tar "$tmp/cd.iso" "$tmp/inside.$form"
		assertStatus 0
	done
	assertSameFile "$work/disk.raw" "$tmp/inside.raw"
	# The name of a tar file on it: nobody can tell what was meant.
	cp "$tmp/cd.iso" "$tmp/disk.tar"
	refused 'has the name of an archive' "$tmp/disk.tar"
}

testPackedTwice() {
	xz -c "$work/disk.raw" >"$tmp/d.raw.xz"
	gzip -c "$work/disk.raw" >"$tmp/d.raw.gz"
	tar cf "$tmp/x.tar" -C "$tmp" d.raw.xz
	refused 'd.raw.xz.*is xz data' "$tmp/x.tar"
	(cd "$tmp" && zip -q x.zip d.raw.gz && 7z a -bd x.7z d.raw.gz >/dev/null && tar czf x.tgz x.7z)
	refused 'd.raw.gz.*is gzip data' "$tmp/x.zip"
	refused 'x.7z.*is a 7z archive' "$tmp/x.tgz"
}

testOurOwnFiles() {
	run gow-check --write-manifest "$tmp/m" "$work/vm.gow"
	for text in 'gow-salvage 1\n' 'gow-layout 1\n' 'GOW-UNDO'; do
		packed own "$text"
		refused 'not a disk' "$tmp/own"
	done
	cp "$tmp/m" "$tmp/m512"
	truncate -s %512 "$tmp/m512"
	refused 'is a manifest' "$tmp/m"
	everywhere 'is a manifest' "$tmp/m512"
}

testNothingAtAll() {
	cp "$work/disk.raw" "$tmp/good.raw"
	: >"$tmp/empty"
	for dest in raw gow; do
		cp "$work/disk.raw" "$tmp/good.$dest"
		for options in '' '-f raw'; do
			# shellcheck disable=SC2086
			run gow-convert --force $options -O raw - "$tmp/good.$dest" </dev/null
			assertStatus 8
			assertErr 'is empty'
			# shellcheck disable=SC2086
			run gow-convert --force $options -O raw "$tmp/empty" "$tmp/good.$dest"
			assertStatus 8
			assertErr 'is empty'
			assertSameFile "$work/disk.raw" "$tmp/good.$dest"
		done
	done
	run gow-convert - - </dev/null
	assertStatus 8
}

testBesideTheDisk() {
	: >"$tmp/README"
	echo 'config' >"$tmp/disk.vmx"
	cp "$work/disk.raw" "$tmp/disk.raw"
	head -c 100 /dev/urandom >"$tmp/odd"
	for order in 'README disk.vmx odd disk.raw' 'disk.raw odd disk.vmx README'; do
		# shellcheck disable=SC2086
		tar cf "$tmp/a.tar" -C "$tmp" $order
		run gow-convert --force "$tmp/a.tar" "$tmp/b.raw"
		assertStatus 0
		assertSameFile "$work/disk.raw" "$tmp/b.raw"
	done
	tar cf "$tmp/a.tar" -C "$tmp" README odd
	refused 'no disk in it: README is empty' "$tmp/a.tar"
}

testSplitDisks() {
	for first in x.001:x.002 x.aa:x.ab xaa:xab x.00:x.01; do
		cp "$work/disk.raw" "$tmp/${first%:*}"
		run gow-convert --force "$tmp/${first%:*}" "$tmp/b.raw"
		assertStatus 0
		cp "$work/disk.raw" "$tmp/${first#*:}"
		refused 'cat .*x.*JOINED' "$tmp/${first%:*}"
		rm "$tmp"/x*
	done
}

# ---- archives that others take ----

# back ARCHIVE: the disk is in it, also where it comes from a pipe.
back() {
	run gow-convert --force --verify "$1" "$tmp/back.raw"
	assertStatus 0
	assertSameFile "$work/disk.raw" "$tmp/back.raw"
}

testZipsBehindAndBefore() {
	cp "$work/disk.raw" "$tmp/disk.raw"
	(cd "$tmp" && zip -q plain.zip disk.raw && 7z a -bd plain.7z disk.raw >/dev/null)
	for size in 1 512 10240 100000; do
		for kind in zip 7z; do
			{ cat "$tmp/plain.$kind" && head -c $size /dev/zero; } >"$tmp/padded.$kind"
			back "$tmp/padded.$kind"
			{ cat "$tmp/padded.$kind" && echo x; } >"$tmp/junk.$kind"
			refused 'follows its end' "$tmp/junk.$kind"
		done
	done
	{ printf 'PK\007\010' && cat "$tmp/plain.zip"; } >"$tmp/spanned.zip"
	back "$tmp/spanned.zip"
	{ printf 'PK00' && cat "$tmp/plain.zip"; } >"$tmp/spanned.zip"
	back "$tmp/spanned.zip"
	# shellcheck disable=SC2016 # for the file to expand
	{ printf '#!/bin/sh\nexec unzip "$0"\n' && cat "$tmp/plain.zip"; } >"$tmp/self.zip"
	back "$tmp/self.zip"
	{ head -c 1024 /dev/zero && cat "$tmp/plain.zip"; } >"$tmp/stub.zip"
	back "$tmp/stub.zip"
}

# A stream that is longer than its window, and says so: not damaged, but too large to be read here.
testLongWindows() {
	need_tool zstd || return 0
	head -c 1048576 /dev/urandom >"$tmp/long.raw"
	for window in 27 28 31; do
		# From a pipe the window is as large as it may be.
		zstd -q --long=$window <"$tmp/long.raw" >"$tmp/$window.raw.zst" || {
			skip "zstd --long=$window does not work here"
			return
		}
		run gow-convert -q "$tmp/$window.raw.zst" "$tmp/$window.raw"
		if [ "$window" = 27 ]; then
			assertStatus 0
			assertSameFile "$tmp/long.raw" "$tmp/$window.raw"
		else
			assertStatus 8
			assertErr 'window of more than 128 MiB .*zstd -d --long=31'
			assertNoErr 'damaged'
			assertFalse "[ -e '$tmp/$window.raw' ]"
		fi
	done
}

# skippable SIZE [BYTE]: a frame that zstd and lz4 pass over.
skippable() {
	# shellcheck disable=SC2059 # the format is of octal numbers alone
	printf "$(printf '\\%03o' $((0x50 + ${2:-0})) 0x2a 0x4d 0x18 $(($1 % 256)) $(($1 / 256 % 256)) \
		$(($1 / 65536)) 0)"
	head -c "$1" /dev/zero | tr '\0' x
}

# Frames without data: in front, in the middle and behind; short ones, and longer than a buffer.
testSkippableFrames() {
	need_tool zstd || return 0
	need_tool lz4 || return 0
	head -c 65536 "$work/disk.raw" >"$tmp/one.raw"
	tail -c +65537 "$work/disk.raw" >"$tmp/two.raw"
	for tool in zstd lz4; do
		$tool -q -c "$tmp/one.raw" >"$tmp/one"
		$tool -q -c "$tmp/two.raw" >"$tmp/two"
		{
			skippable 0
			skippable 4
			skippable 700000 15
			cat "$tmp/one"
			skippable 9 3
			cat "$tmp/two"
			skippable 100
		} >"$tmp/x.raw.$tool"
		$tool -d -q -c "$tmp/x.raw.$tool" >"$tmp/by.raw"
		assertSameFile "$work/disk.raw" "$tmp/by.raw"
		run gow-convert --force "$tmp/x.raw.$tool" "$tmp/out.raw"
		assertStatus 0
		assertSameFile "$work/disk.raw" "$tmp/out.raw"
		run gow-convert --force - "$tmp/piped.raw" <"$tmp/x.raw.$tool"
		assertStatus 0
		assertSameFile "$work/disk.raw" "$tmp/piped.raw"
	done
}

# A frame in front of what is not zstd or lz4 data, or has no sum, proves nothing.
testSkippableFramesBeforeOtherThings() {
	need_tool zstd || return 0
	gzip -c "$work/disk.raw" >"$tmp/d.gz"
	zstd -q --no-check -c "$work/disk.raw" >"$tmp/d.zst"
	{ skippable 4 && cat "$tmp/d.gz"; } >"$tmp/gzip"
	{ skippable 4 && cat "$work/disk.raw"; } >"$tmp/raw"
	{ skippable 4 && cat "$tmp/d.zst"; } >"$tmp/no-sum"
	skippable 4 >"$tmp/alone"
	skippable 5000 | head -c 4000 >"$tmp/cut"
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do
		[ $i -gt 1 ] || skippable 0 >"$tmp/many"
		cat "$tmp/many" "$tmp/many" >"$tmp/more"
		mv "$tmp/more" "$tmp/many"
	done
	zstd -q -c "$work/disk.raw" >>"$tmp/many"
	for source in gzip raw no-sum alone cut many; do
		run gow-convert "$tmp/$source" "$tmp/out.raw"
		assertStatus 8
		assertErr "$source: .*(frames|sum)"
		run gow-convert - "$tmp/out.raw" <"$tmp/$source"
		assertStatus 8
		assertFalse "$source" "[ -e '$tmp/out.raw' ]"
	done
}

# shellcheck source=/dev/null
. "$SHUNIT2"
