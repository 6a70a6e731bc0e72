#!/bin/sh
# The maker of images itself: its bytes against bytes written down by hand from the
# format's description.  All other suites trust it.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# bytes OFFSET LENGTH FILE: as hexadecimal digits, without blanks.
bytes() {
	od -An -v -tx1 -j "$1" -N "$2" "$3" | tr -d ' \n'
}

# has WHAT OFFSET HEX: the image has these bytes there.
has() {
	assertEquals "$1" "$3" "$(bytes "$2" $((${#3} / 2)) "$tmp/image")"
}

length_is() {
	assertEquals "length" "$1" "$(stat -c %s "$tmp/image")"
}

make() {
	"$GOW_TESTBIN/mkimage" - "$tmp/image" || fail "mkimage"
}

testVersion1() {
	make <<'END'
version 1
size 10M
map 0 2
map 3-4 0
map 1048575 3
data 0 text "guest"
data 3 last a5
END
	has preamble 0 474f57000100000000 # the first byte of the size, too
	has size 8 0000a00000000000
	has count 16 04000000
	has "entries 0 to 5" 20 02000000ffffffffffffffff0000000001000000ffffffff
	has "the last two entries" 4194316 ffffffff03000000
	has "block 0" 4194324 67756573740000
	has "the end of block 3" $((4194324 + 4 * 65536 - 2)) 00a5
	length_is $((4194324 + 4 * 65536))
}

testVersion2() {
	make <<'END'
version 2
size limit
map entries-1 0
data 0 text "z"
END
	has preamble 0 474f570002000000000000004000000001000000
	has "the map's start" 20 ffffffffffffffff
	has "the last entry, and padding" 16777232 000000000000000000
	has "the end of the padding, and block 0" 16777727 007a00
	length_is $((16777728 + 65536))
}

testVersion3() {
	make <<'END'
version 3
size 1T-1
map 0 0
map 2 1
ver 1 0x01020304
ver entries-1 max32
END
	has preamble 0 474f570003000000ffffffffff00000002000000
	has "entries 0 to 3" 20 00000000ffffffff01000000ffffffff
	has "the map's end, the version numbers' start" 16777232 ffffffff01000000040302010100000000000000
	has "the last version number, and padding" 33554448 ffffffff0000
	length_is $((33554944 + 2 * 65536))
}

testStepsAndFill() {
	make <<'END'
version 1
size limit
fill map 7
map 0-2 9 step -2
map 3-4 5 step 0
map 5 none
END
	has entries 20 0900000007000000050000000500000005000000ffffffff07000000
	has "the last" 4194320 07000000
}

testShuffleNamesEveryBlockOnce() {
	make <<'END'
version 1
size limit
map 0-999 0 shuffle 3
END
	od -An -v -tu4 -w4 -j 20 -N 4000 "$tmp/image" | tr -d ' ' >"$tmp/order"
	seq 0 999 >"$tmp/all"
	sort -n "$tmp/order" >"$tmp/sorted"
	assertSameFile "$tmp/all" "$tmp/sorted"
	cmp -s "$tmp/all" "$tmp/order"
	assertNotEquals "nothing was shuffled" 0 $?
}

testOverridesAndPokes() {
	make <<'END'
version 1 # a comment
size 512	# a tab before it
map 0 0
magic 474F5721
version-field 0x7fffffff
count present*2+0x10
poke 30 beef
poke32 40 0x01020304
poke64 end-8 0x0102030405060708
END
	has preamble 0 474f5721ffffff7f000200000000000012000000
	has pokes 29 ffbeefffffffffffffffff04030201ff
	has "the end" $((4194324 + 65536 - 8)) 0807060504030201
}

testRepeatsAndCopies() {
	make <<'END'
version 1
size 512
map 0 0
data 0 text "0123456789"
repeat 40 5 a5
extend end+70000
copy data_start+block 65536 data_start
copy 60 4 data_start+8
copy end-8 8 end-4
END
	has "one byte, often" 39 ffa5a5a5a5a5ff
	has "a short copy" 59 ff38390000ff
	has "a whole block" $((4194324 + 65536)) 30313233343536373839
	assertEquals "zeros past the end" 0 "$(tail -c 4000 "$tmp/image" | tr -d '\0' | wc -c)"
}

testLengths() {
	make <<'END'
version 2
size 512
map 0 0
truncate header_end+1
extend data_start+block*3
truncate end-1
END
	length_is $((16777728 + 3 * 65536 - 1))
	# blocks overrides what the map speaks of.
	make <<'END'
version 1
size 512
map 0 0xfffffffe
blocks 2
END
	length_is $((4194324 + 2 * 65536))
}

testPatternDiffersByBlockAndSeedAndHasNoZero() {
	make <<'END'
version 1
size 10M
data 0-1 pattern 1
data 2 pattern 2
data 3 pattern 1 length 100
END
	for at in 0 1 2 3; do
		dd if="$tmp/image" of="$tmp/$at" bs=65536 iflag=skip_bytes count=1 \
			skip=$((4194324 + at * 65536)) status=none
	done
	assertEquals "different blocks" 4 "$(cat "$tmp/0" "$tmp/1" "$tmp/2" "$tmp/3" |
		split -b 65536 --filter=md5sum | sort -u | wc -l)"
	assertEquals "zeros" 0 "$(cat "$tmp/0" "$tmp/1" "$tmp/2" | tr -dc '\000' | wc -c)"
	assertEquals "bytes of a cut pattern" 100 "$(tr -d '\000' <"$tmp/3" | wc -c)"
	# The same from run to run.
	assertEquals c9115dabfc627706cfc3788f855b6a30 "$(md5sum <"$tmp/0" | cut -d ' ' -f 1)"
}

testHolesStayHoles() {
	make <<'END'
version 3
size limit
blocks 1000
map 0 0
data 1 zero
END
	# The map, the block of zeros, and a little for the file system itself.
	assertTrue "too much on disk" "[ $(stat -c %b "$tmp/image") -lt $((18 * 2048)) ]"
}

testRaw() {
	cat >"$tmp/recipe" <<'END'
version 1
size 192K+512
map 0 1
map 2 3
map 3 0
data 0 pattern 4
data 1 pattern 5
data 3 zero
poke data_start+block 00ff
END
	"$GOW_TESTBIN/mkimage" "$tmp/recipe" "$tmp/image" || fail mkimage
	"$GOW_TESTBIN/mkimage" --raw "$tmp/recipe" "$tmp/raw" || fail mkimage
	{
		tail -c +$((4194324 + 65536 + 1)) "$tmp/image" | head -c 65536
		head -c 131072 /dev/zero
		tail -c +$((4194324 + 1)) "$tmp/image" | head -c 512
	} >"$tmp/expected"
	assertSameFile "$tmp/expected" "$tmp/raw"
	assertEquals 00ff "$(bytes 0 2 "$tmp/raw")"
}

testRawOfADamagedImage() {
	cat >"$tmp/recipe" <<'END'
version 2
size 128K
map 0 0
map 1 1
data 0-1 pattern 1
truncate data_start+block
END
	"$GOW_TESTBIN/mkimage" --raw "$tmp/recipe" "$tmp/raw" 2>/dev/null
	assertEquals "a block that is not there" 2 $?
	assertFalse "a file was left" "[ -e '$tmp/raw' ]"
	"$GOW_TESTBIN/mkimage" --raw --salvage "$tmp/recipe" "$tmp/raw" || fail mkimage
	assertEquals 131072 "$(stat -c %s "$tmp/raw")"
	assertEquals "zeros" 65536 "$(tr -dc '\000' <"$tmp/raw" | wc -c)"
}

# rejected LINE MESSAGE: after a good beginning, this third line is bad.
rejected() {
	printf 'version 1\nsize 1M\n%s\n' "$1" | "$GOW_TESTBIN/mkimage" - "$tmp/image" 2>"$err"
	assertEquals "status of $1" 2 $?
	assertErr "line 3: .*$2"
	assertFalse "a file was left by $1" "[ -e '$tmp/image' ]"
}

testBadRecipes() {
	rejected 'mop 1 2' 'no such directive: mop'
	rejected 'version 1' 'twice'
	rejected 'size 1Q' 'not a value'
	rejected 'size 16E' 'above 2'
	rejected 'size 99999999999999999999' 'out of range'
	rejected 'size 0-1' 'below 0'
	rejected 'size 1+' 'missing'
	rejected 'size versions_at' 'not known here'
	rejected 'size' 'something is missing'
	rejected 'size 1 2' 'too much'
	rejected 'map 0' 'something is missing'
	rejected 'map entries 1' 'at most 1048575'
	rejected 'map 4-3 1' 'ends before it begins'
	rejected 'map 0 0x100000000' 'more than 32 bits'
	rejected 'map 0-2 0xfffffffd' 'leaves the 32 bits'
	rejected 'map 0-2 1 step -1' 'below 0'
	rejected 'map 0-2 1 hop 1' 'step or shuffle'
	rejected 'ver 0 1' 'has no version numbers'
	rejected 'fill sky 1' 'fill map or fill ver'
	rejected 'data 0 blue' 'pattern, text, last'
	rejected 'data 0 last 00' 'not zero'
	rejected 'data 0 text "open' 'closing quote'
	rejected 'data 0 pattern 1 length 65537' 'longer than a block'
	rejected 'magic 4747' 'four bytes'
	rejected 'poke 0 123' 'even number'
	rejected 'poke 0 zz' 'not hexadecimal'
	rejected 'poke end 00' 'past the end'
	rejected 'truncate end+1' 'truncate from'
	rejected 'extend 0' 'extend from'
	rejected 'extend max64' 'too long'
	rejected 'repeat end 1 00' 'past the end'
	rejected 'repeat 0 1 0' 'even number'
	rejected 'copy end-1 2 0' 'past the end'
}

testBadBeginnings() {
	echo 'size 1M' | "$GOW_TESTBIN/mkimage" - "$tmp/image" 2>"$err"
	assertEquals 2 $?
	assertErr 'version comes first'
	echo 'version 1' | "$GOW_TESTBIN/mkimage" - "$tmp/image" 2>"$err"
	assertEquals 2 $?
	assertErr 'size is missing'
	echo 'version 4' | "$GOW_TESTBIN/mkimage" - "$tmp/image" 2>"$err"
	assertEquals 2 $?
	"$GOW_TESTBIN/mkimage" - "$tmp/image" </dev/null 2>"$err"
	assertEquals 2 $?
	"$GOW_TESTBIN/mkimage" "$tmp/none" "$tmp/image" 2>"$err"
	assertEquals 1 $?
	"$GOW_TESTBIN/mkimage" 2>"$err"
	assertEquals 2 $?
}

testFailedWriteIsNoticed() {
	printf 'version 1\nsize 1M\n' >"$tmp/recipe"
	run_faulty FAULTIO_FILE="*/image" FAULTIO_FAIL=write:2:ENOSPC \
		mkimage "$tmp/recipe" "$tmp/image"
	assertStatus 1
	assertFalse "a file was left" "[ -e '$tmp/image' ]"
	run_faulty FAULTIO_FILE="*/image" FAULTIO_FAIL=close:1:EIO \
		mkimage "$tmp/recipe" "$tmp/image"
	assertStatus 1
	assertFalse "a file was left" "[ -e '$tmp/image' ]"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
