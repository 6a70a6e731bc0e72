#!/bin/sh
# Images of other layouts than the reference ones, told by --layout to every tool that opens
# an image. The image is made here, byte by byte, from what its layout says.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# Big-endian, entries count from 1, 0 is "not allocated", no version field.
suiteSetUp() {
	cat >"$work/big.layout" <<END
gow-layout 1
name = big
byte-order = big
magic = "BIG!" at 0
magic-pending = none
version-field = none
logical-size = 4:8 bytes
block-count = 12:4
map = 16 stride 4 entries 16
first-block = 1
unallocated = 0
block-versions = none
data-align = 512
limit = 1M
END
	printf 'BIG!\000\000\000\000\000\004\000\000\000\000\000\003' >"$work/big"
	printf '\000\000\000\002\000\000\000\001\000\000\000\000\000\000\000\003' >>"$work/big"
	truncate -s 512 "$work/big"
	for letter in A B C; do
		head -c 65536 /dev/zero | tr '\000' $letter
	done >>"$work/big"
	{
		for letter in B A; do
			head -c 65536 /dev/zero | tr '\000' $letter
		done
		head -c 65536 /dev/zero
		head -c 65536 /dev/zero | tr '\000' C
	} >"$work/disk"
}

# Entries that may lie in two sectors: a write of one may be torn.
testCompactOfSplitEntries() {
	for map in '18 stride 4' '16 stride 6'; do
		sed "s/^map = 16 stride 4/map = $map/" "$work/big.layout" >"$tmp/layout"
		{
			head -c 16 "$work/big"
			head -c $((${map%% *} - 16)) /dev/zero
			for byte in 2 1 0 3; do
				printf '%b' "\\0\\0\\0\\00$byte"
				head -c $((${map##* } - 4)) /dev/zero
			done
		} >"$tmp/image"
		truncate -s 512 "$tmp/image"
		tail -c +513 "$work/big" >>"$tmp/image"
		# The last block goes to the place of one that is given up.
		printf '\000\000\000\000' | dd of="$tmp/image" bs=1 seek="${map%% *}" conv=notrunc status=none
		run gow-check --layout "$tmp/layout" "$tmp/image"
		assertStatus 2
		state_of "$tmp/image"
		for option in -n -q '--punch -q'; do
			# shellcheck disable=SC2086 # words
			run gow-compact $option --layout "$tmp/layout" "$tmp/image"
			assertStatus 8
			assertErr 'a torn write could damage'
		done
		assertUnchanged "$tmp/image"
	done
}

testUnknownWithoutIt() {
	for tool in gow-info gow-check gow-compact 'gow-repair -y' gow-upgrade; do
		# shellcheck disable=SC2086 # a command and its option
		run $tool "$work/big"
		assertStatus 8
	done
}

testReading() {
	run gow-info --json --layout "$work/big.layout" "$work/big"
	assertStatus 0
	assertJson '.logical_size == 262144 and .allocated_blocks == 3'
	run gow-check --digest --json --layout "$work/big.layout" "$work/big"
	assertStatus 0
	assertJson '.findings == [] and (.digest | length) == 32'
}

testInPlace() {
	cp "$work/big" "$tmp/big"
	state_of "$tmp/big"
	for tool in gow-compact 'gow-repair -y' 'gow-repair -p'; do
		# shellcheck disable=SC2086 # a command and its option
		run $tool --layout "$work/big.layout" "$tmp/big"
		assertStatus 0
		assertUnchanged "$tmp/big"
	done
	run gow-upgrade --layout "$work/big.layout" "$tmp/big"
	assertNotEquals 0 "$status"
	assertUnchanged "$tmp/big"
	# A leaked block in the middle: the last one moves down, and the count with it.
	printf '\000\000\000\000' | dd of="$tmp/big" bs=1 seek=20 conv=notrunc status=none
	run gow-compact --layout "$work/big.layout" "$tmp/big"
	assertStatus 0
	assertEquals 131584 "$(stat -c %s "$tmp/big")"
	assertEquals 00000002 "$(od -An -tx1 -j12 -N4 "$tmp/big" | tr -d ' ')"
}

testConvert() {
	run gow-convert --layout "$work/big.layout" "$work/big" "$tmp/disk.raw"
	assertStatus 0
	assertSameFile "$work/disk" "$tmp/disk.raw"
	run gow-convert --verify --layout "$work/big.layout" "$work/big" "$tmp/disk.gow"
	assertStatus 0
	run gow-convert "$tmp/disk.gow" "$tmp/again.raw"
	assertSameFile "$work/disk" "$tmp/again.raw"
}

# A size that counts sectors, and a place for the mark and the record of a change.
make_marked() {
	cat >"$tmp/marked.layout" <<END
gow-layout 1
name = marked
byte-order = big
magic = "MARK" at 0
magic-pending = "PEND"
version-field = 4:2 is 1
logical-size = 8:4 sectors
block-count = 12:4
map = 16 stride 4 entries 16
first-block = 1
unallocated = 0
block-versions = none
data-align = 512
limit = 1M
END
	printf 'MARK\000\001\000\000\000\000\002\000\000\000\000\003' >"$tmp/marked"
	printf '\000\000\000\002\000\000\000\001\000\000\000\000\000\000\000\003' >>"$tmp/marked"
	truncate -s 512 "$tmp/marked"
	tail -c +513 "$work/big" >>"$tmp/marked"
}

# A layout in a configuration directory that has a magic is tried without being asked for.
testConfigurationDirectory() {
	make_marked
	mkdir -p "$tmp/config/gow/layouts.d"
	cp "$work/big.layout" "$tmp/marked.layout" "$tmp/config/gow/layouts.d"
	XDG_CONFIG_HOME=$tmp/config
	export XDG_CONFIG_HOME
	for image in "$work/big" "$tmp/marked"; do
		name=$(basename "$image")
		for tool in gow-info gow-check 'gow-compact -n' 'gow-repair -n'; do
			# shellcheck disable=SC2086 # a command and its option
			run $tool "$image"
			assertEquals "$tool $image" 0 "$status"
		done
		run gow-probe --json "$image"
		assertEquals "known $name" "$(jq -r '.verdict + " " + .layout.name' "$out")"
		run gow-convert --force "$image" "$tmp/disk.raw"
		assertStatus 0
		assertSameFile "$work/disk" "$tmp/disk.raw"
		run gow-compact --digest -o "$tmp/new-$name" "$image"
		assertStatus 0
		run gow-info --json --layout "$name" "$tmp/new-$name"
		assertJson '.layout == "'"$name"'" and .allocated_blocks == 3'
	done
	unset XDG_CONFIG_HOME
}

# The version that no field tells is none.
testNoVersion() {
	run gow-info --json --layout "$work/big.layout" "$work/big"
	assertJson '.version == null and .layout == "big"'
	run gow-info --layout "$work/big.layout" "$work/big"
	assertOut '^version: *none$'
	run gow-check --layout "$work/big.layout" "$work/big"
	assertOut 'layout big, 256 KiB, sound'
	run gow-convert --json --layout "$work/big.layout" "$work/big" "$tmp/disk.raw"
	assertJson '.source_format == "gow"'
}

# The number counts sectors, and is written as such.
testRepairOfSectors() {
	make_marked
	printf '\000\000\000\000' | dd of="$tmp/marked" bs=1 seek=8 conv=notrunc status=none
	cp "$tmp/marked" "$tmp/before"
	run gow-repair -y --layout "$tmp/marked.layout" "$tmp/marked"
	assertStatus 1
	assertEquals 00000200 "$(od -An -tx1 -j8 -N4 "$tmp/marked" | tr -d ' ')"
	run gow-repair --undo --layout "$tmp/marked.layout" "$tmp/marked"
	assertStatus 0
	assertSameFile "$tmp/before" "$tmp/marked"
}

# What cannot be marked is not changed, and it is said why and what to do.
testNoPlaceForTheMark() {
	cp "$work/big" "$tmp/big"
	printf '\000\000\000\011' | dd of="$tmp/big" bs=1 seek=16 conv=notrunc status=none
	state_of "$tmp/big"
	for how in -y -n; do
		run gow-repair $how --layout "$work/big.layout" "$tmp/big"
		assertStatus 8
		assertErr 'magic-pending.*gow-convert --salvage --layout'
		assertUnchanged "$tmp/big"
	done
	run gow-upgrade --layout "$work/big.layout" "$work/big"
	assertErr 'magic-pending.*gow-convert --layout'
	run gow-convert --salvage --layout "$work/big.layout" "$tmp/big" "$tmp/disk.gow"
	assertStatus 4
	run gow-check "$tmp/disk.gow"
	assertStatus 0
}

# The digests around a change are those of the image's own layout.
testDigestOfAChange() {
	cp "$work/big" "$tmp/big"
	printf '\000\000\000\000' | dd of="$tmp/big" bs=1 seek=20 conv=notrunc status=none
	run gow-compact --digest --json --layout "$work/big.layout" "$tmp/big"
	assertStatus 0
	assertJson '[.. | strings | select(test("^[0-9a-f]{32}$"))] | length == 2 and .[0] == .[1]'
}

# "auto" is for reading only.
testAutoDoesNotWrite() {
	for tool in gow-compact 'gow-compact -o new' gow-upgrade 'gow-upgrade -o new' 'gow-repair -n' \
		'gow-repair --undo'; do
		# shellcheck disable=SC2086 # a command and its option
		run $tool --layout auto "$work/big"
		assertEquals "$tool" 16 "$status"
		assertErr 'gow-probe'
	done
}

testAutoWithoutEvidence() {
	for tool in gow-info gow-check; do
		run $tool --layout auto "$work/big"
		assertStatus 8
		assertErr 'gow-probe'
	done
	run gow-convert --layout auto "$work/big" "$tmp/disk.raw"
	assertStatus 8
	assertFalse "[ -e '$tmp/disk.raw' ]"
	run gow-create 1M "$tmp/known"
	run gow-info --json --layout auto "$tmp/known"
	assertStatus 0
	assertJson '.version == 3'
}

# An image inside of an archive, or from a pipe: packed by others, read by its layout.
testPackedAndPiped() {
	need_tool zstd || return 0
	sed 's/^magic = .*/magic = none/' "$work/big.layout" >"$tmp/plain.layout"
	(cd "$work" && tar cf "$tmp/big.tar" big && tar czf "$tmp/big.tar.gz" big disk)
	gzip -c "$work/big" >"$tmp/big.gz"
	zstd -q -c "$tmp/big.tar" >"$tmp/big.tar.zst"
	for layout in "$work/big.layout" "$tmp/plain.layout"; do
		for archive in big.tar big.gz big.tar.zst; do
			run gow-convert --force --layout "$layout" "$tmp/$archive" "$tmp/disk.raw"
			assertEquals "$layout $archive: $(cat "$err")" 0 "$status"
			assertSameFile "$work/disk" "$tmp/disk.raw"
			run gow-convert --force --layout "$layout" "$tmp/$archive" "$tmp/disk.gow"
			assertStatus 0
			run gow-check --json --digest "$tmp/disk.gow"
			assertJson ".digest == \"$("$GOW_TESTBIN/guestdigest" "$work/disk")\""
			rm -f "$tmp/disk.raw"
			# shellcheck disable=SC2002 # a pipe is not a file
			cat "$tmp/$archive" | "$GOW_BIN/gow-convert" --layout "$layout" - "$tmp/disk.raw" 2>"$err"
			assertEquals "- $layout $archive: $(cat "$err")" 0 $?
			assertSameFile "$work/disk" "$tmp/disk.raw"
		done
		rm -f "$tmp/disk.raw" "$tmp/again.tar"
		# shellcheck disable=SC2002 # a pipe is not a file
		cat "$work/big" | "$GOW_BIN/gow-convert" --layout "$layout" - "$tmp/disk.raw" 2>"$err"
		assertEquals "- $layout: $(cat "$err")" 0 $?
		assertSameFile "$work/disk" "$tmp/disk.raw"
		# shellcheck disable=SC2002 # a pipe is not a file
		cat "$work/big" | "$GOW_BIN/gow-convert" --layout "$layout" - "$tmp/again.tar" 2>"$err"
		assertEquals "- $layout to tar: $(cat "$err")" 0 $?
		run gow-convert --force "$tmp/again.tar" "$tmp/disk.raw"
		assertSameFile "$work/disk" "$tmp/disk.raw"
	done
	# A member that does not begin with the magic is not the one that is looked for.
	run gow-convert --force --layout "$work/big.layout" "$tmp/big.tar.gz" "$tmp/disk.raw"
	assertStatus 0
	assertSameFile "$work/disk" "$tmp/disk.raw"
	# -f tar is no reason to forget the layout, and -f raw is one.
	run gow-convert --force -f tar --layout "$tmp/plain.layout" "$tmp/big.tar" "$tmp/disk.raw"
	assertStatus 0
	assertSameFile "$work/disk" "$tmp/disk.raw"
}

# One that is cut short, or none, is told by the validator, and no file appears.
testPackedAndDamaged() {
	head -c 100000 "$work/big" >"$tmp/cut"
	head -c 20 "$work/big" >"$tmp/short"
	head -c 200000 /dev/zero >"$tmp/zeros"
	for name in cut short zeros; do
		(cd "$tmp" && tar cf $name.tar $name)
		run gow-convert --layout "$work/big.layout" "$tmp/$name.tar" "$tmp/disk.raw"
		assertTrue "$name.tar: $status" "[ $status -eq 4 ] || [ $status -eq 8 ]"
		# shellcheck disable=SC2002 # a pipe is not a file
		cat "$tmp/$name" | "$GOW_BIN/gow-convert" --layout "$work/big.layout" - "$tmp/disk.raw" 2>"$err"
		gow_status=$?
		assertTrue "$name: $gow_status" "[ $gow_status -eq 4 ] || [ $gow_status -eq 8 ]"
		assertFalse "$name" "[ -e '$tmp/disk.raw' ]"
	done
}

# Nothing is inferred out of what is read in order; what is known needs no inference.
testPackedAndAuto() {
	(cd "$work" && tar cf "$tmp/big.tar" big)
	run gow-convert --layout auto "$tmp/big.tar" "$tmp/disk.raw"
	assertStatus 8
	assertErr 'big.tar.*inside of an archive: unpack it and name the image'
	# shellcheck disable=SC2002 # a pipe is not a file
	cat "$work/big" | "$GOW_BIN/gow-convert" --layout auto - "$tmp/disk.raw" 2>"$err"
	assertEquals 8 $?
	assertErr 'cannot be inferred from a stream: keep it in a file and name that'
	assertFalse "[ -e '$tmp/disk.raw' ]"
	run gow-convert "$work/disk" "$tmp/known.tar"
	run gow-convert --layout auto "$tmp/known.tar" "$tmp/disk.raw"
	assertStatus 0
	assertSameFile "$work/disk" "$tmp/disk.raw"
	rm "$tmp/disk.raw"
	run gow-convert "$work/disk" "$tmp/known.gow"
	# shellcheck disable=SC2002 # a pipe is not a file
	cat "$tmp/known.gow" | "$GOW_BIN/gow-convert" --layout auto - "$tmp/disk.raw" 2>"$err"
	assertEquals "$(cat "$err")" 0 $?
	assertSameFile "$work/disk" "$tmp/disk.raw"
}

# What is in a configuration directory and has a magic is known in archives and pipes, too.
testPackedAndConfigured() {
	mkdir -p "$tmp/config/gow/layouts.d"
	cp "$work/big.layout" "$tmp/config/gow/layouts.d"
	(cd "$work" && tar cf "$tmp/big.tar" big)
	XDG_CONFIG_HOME=$tmp/config
	export XDG_CONFIG_HOME
	run gow-convert "$tmp/big.tar" "$tmp/disk.raw"
	assertStatus 0
	assertSameFile "$work/disk" "$tmp/disk.raw"
	rm "$tmp/disk.raw"
	# shellcheck disable=SC2002 # a pipe is not a file
	cat "$work/big" | "$GOW_BIN/gow-convert" --layout auto - "$tmp/disk.raw" 2>"$err"
	assertEquals "$(cat "$err")" 0 $?
	assertSameFile "$work/disk" "$tmp/disk.raw"
	unset XDG_CONFIG_HOME
}

# Pictures, dumps and comparisons are of any layout.
testPicturesDumpsAndChanges() {
	big="--layout $work/big.layout"
	# shellcheck disable=SC2086 # an option and its value
	run env COLUMNS=60 LC_ALL=C "$GOW_BIN/gow-info" --picture $big "$work/big"
	assertStatus 0
	assertOut 'big: layout big$'
	assertEquals "%## #%.#" "$(sed -n '/^[%#.]*$/p' "$out" | xargs)"
	# shellcheck disable=SC2086
	run gow-info "--picture=$tmp/big.svg" $big "$work/big"
	assertStatus 0
	grep -q 'layout big, fragmentation' "$tmp/big.svg"
	assertTrue 'no layout in the picture' $?
	# shellcheck disable=SC2086
	run gow-convert --metadata-only $big "$work/big" "$tmp/big.tar"
	assertStatus 0
	# The layout comes along, and is taken from there.
	tar -xOf "$tmp/big.tar" big.layout >"$tmp/kept.layout"
	run gow-convert --metadata-only "$tmp/big.tar" "$tmp/copy"
	assertStatus 0
	assertOut 'restored without its data: another layout, a file of'
	assertErr 'tar -xf ARCHIVE big.layout'
	cmp -n 512 "$work/big" "$tmp/copy"
	assertTrue 'the header differs' $?
	assertEquals "$(stat -c %s "$work/big")" "$(stat -c %s "$tmp/copy")"
	grep -q '[ABC]\{8\}' "$tmp/copy"
	assertFalse 'guest data' $?
	run gow-check --json --layout "$tmp/kept.layout" "$tmp/copy"
	assertStatus 0
	assertJson '.findings == [] and .logical_size == 262144'
	cp "$work/big" "$tmp/other"
	printf x | dd of="$tmp/other" bs=1 seek=600 conv=notrunc status=none
	# shellcheck disable=SC2086
	run gow-info --json --data --compare "$tmp/other" $big "$work/big"
	assertStatus 0
	assertJson '[.extents[] | [.start, .length]] == [[65536, 65536]]'
	for how in '--since 0' "--compare $tmp/other"; do
		# shellcheck disable=SC2086
		run gow-info $how $big "$work/big"
		assertStatus 8
		assertErr 'has no version numbers .its layout is big.'
	done
}

# Manifests are of the guest's disk, whatever the layout is.
testManifest() {
	big="--layout $work/big.layout"
	# shellcheck disable=SC2086 # an option and its value
	run gow-check $big --write-manifest "$tmp/manifest" "$work/big"
	assertStatus 0
	"$GOW_TESTBIN/guestdigest" -m "$work/disk" >"$tmp/expected"
	assertSameFile "$tmp/expected" "$tmp/manifest"
	cp "$work/big" "$tmp/big"
	printf x | dd of="$tmp/big" bs=1 seek=600 conv=notrunc status=none
	# shellcheck disable=SC2086
	run gow-check --json $big --manifest "$tmp/manifest" "$tmp/big"
	assertStatus 4
	assertJson '.findings[0] | .id == "data.mismatch" and .first.logical == 1'
}

# The user's directory is below the home directory where nothing else is said; a name is that of the file,
# or that in it.
testHomeDirectory() {
	mkdir -p "$tmp/home/.config/gow/layouts.d"
	cp "$work/big.layout" "$tmp/home/.config/gow/layouts.d/other.layout"
	echo nonsense >"$tmp/home/.config/gow/layouts.d/bad.layout"
	for how in '' '--layout big' '--layout other'; do
		# shellcheck disable=SC2086 # an option and its value
		run env -u XDG_CONFIG_HOME HOME="$tmp/home" "$GOW_BIN/gow-info" --json $how "$work/big"
		assertStatus 0
		assertJson '.layout == "big"'
	done
	# What cannot be used there is no reason to stop.
	run env -u XDG_CONFIG_HOME HOME="$tmp/home" "$GOW_BIN/gow-info" "$work/big"
	assertStatus 0
	assertErr 'bad.layout: warning: is left out: .*line 1'
	run gow-info --layout gow1 "$work/big"
	assertStatus 8
}

# A copy is kept in step with a master of any layout that has numbers.
testSync() {
	"$GOW_TESTBIN/mkforeign" "$work/disk" "$tmp/master" order=big start=16 size=4 width=4 unit=512 \
		numbers=behind first=1 unallocated=0 align=512 entries=64 seed=8 >/dev/null
	cat >"$tmp/master.layout" <<'END'
gow-layout 1
name = master
byte-order = big
magic = none
version-field = none
logical-size = 4:4 sectors
block-count = none
map = 16 stride 4 entries 64
first-block = 1
unallocated = 0
block-versions = at 272 stride 4
data-align = 512
END
	run gow-sync --json --layout "$tmp/master.layout" "$tmp/master" "$tmp/copy.gow"
	assertStatus 0
	assertJson '.created and .newer_blocks == 3'
	run gow-sync --json --layout "$tmp/master.layout" "$tmp/master" "$tmp/copy.gow"
	assertStatus 0
	assertJson '.newer_blocks == 0 and (.changed | not)'
	run gow-convert "$tmp/copy.gow" "$tmp/disk.raw"
	assertSameFile "$work/disk" "$tmp/disk.raw"
	# The numbers are the master's.
	run gow-info --map "$tmp/copy.gow"
	assertEquals '0 1 1 2 3 1' "$(awk '!/^#/ { print $1, $NF }' "$out" | xargs)"
	run gow-sync --layout auto "$tmp/master" "$tmp/none.gow"
	assertStatus 16
	assertFalse 'made by what was inferred' "[ -e '$tmp/none.gow' ]"
}

testUnknownName() {
	run gow-info --layout nonesuch "$work/big"
	assertStatus 16
	assertErr 'no layout .nonesuch'
	run gow-info --layout gow1 --layout gow2 "$work/big"
	assertStatus 16
}

# shellcheck source=/dev/null
. "$SHUNIT2"
