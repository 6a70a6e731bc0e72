#!/bin/sh
# Every image of foreign/ under gow-probe: the verdict, the layout, and what is missing.
# Each directory is a test of its own: `about` says why there is such an image, `recipe` how it is made
# (`disk TABLE CONTENT`, then a line for each option of mkforeign, or `raw`), `probe.json` what has to
# come of it, worked out by hand.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

foreign=$TESTS/foreign
cases=''
for case in "$foreign"/*/; do
	case=$(basename "$case")
	name=test_$(echo "$case" | tr -c 'a-z0-9\n' _)
	cases="$cases $name"
	eval "$name() { check_case $case; }"
done

# shunit2 would find only what is written out.
suite() {
	suite_addTest test_every_verdict
	for name in $cases; do
		suite_addTest "$name"
	done
}

# make_content CONTENT FILE: what the guest made of 40 MiB.
make_content() {
	truncate -s 40M "$2"
	[ -e "$work/junk" ] || head -c 9000000 /dev/urandom >"$work/junk"
	case $1 in
	ext4)
		mkfs.ext4 -q -F -b 1024 "$2"
		debugfs -w -R "write $work/junk junk" "$2" >/dev/null 2>&1 ;;
	fat)
		mkfs.vfat -F 32 -s 1 "$2" >/dev/null
		MTOOLS_SKIP_CHECK=1 mcopy -i "$2" "$work/junk" ::JUNK ;;
	boot)
		dd if="$work/junk" of="$2" bs=64k count=50 conv=notrunc status=none
		dd if=/dev/zero of="$2" bs=4096 count=1 conv=notrunc status=none
		printf '\125\252' | dd of="$2" bs=1 seek=510 conv=notrunc status=none ;;
	empty) ;;
	esac
}

# make_disk TABLE CONTENT: behind that table, or by itself; the file is $disk.
make_disk() {
	disk=$work/$1-$2
	[ ! -e "$disk" ] || return 0
	make_content "$2" "$work/content"
	if [ "$1" = none ]; then
		mv "$work/content" "$disk"
		return
	fi
	truncate -s 43M "$disk"
	echo ',40M' | sfdisk -q --label "$1" "$disk" >/dev/null 2>&1
	dd if="$work/content" of="$disk" bs=1M seek=1 conv=notrunc,sparse status=none
	rm "$work/content"
}

check_case() {
	assertTrue "$1 does not say what it is about" "[ -s '$foreign/$1/about' ]"
	read -r word table content <"$foreign/$1/recipe"
	assertEquals "$1" disk "$word"
	make_disk "$table" "$content"
	if grep -q '^raw$' "$foreign/$1/recipe"; then
		cp --sparse=always "$disk" "$tmp/image"
	else
		# shellcheck disable=SC2046 # words without blanks
		"$GOW_TESTBIN/mkforeign" "$disk" "$tmp/image" \
			$(tail -n +2 "$foreign/$1/recipe" | tr ' ' =) >"$tmp/made"
	fi
	state_of "$tmp/image"
	run gow-probe --json "$tmp/image"
	assertEquals "$1" "$(jq .exit "$foreign/$1/probe.json")" "$status"
	assertEquals "$1" "$(jq -S . "$foreign/$1/probe.json")" "$(jq -S '{exit, verdict,
		missing: [.evidence[] | select(.what == "missing").says],
		layout: (if .layout then .layout | del(.name, .text) else null end)}' "$out")"
	assertUnchanged "$tmp/image"
	# The tools that read say the same: they continue by what is proven or likely.
	run gow-info --layout auto "$tmp/image"
	case $(jq -r .verdict "$foreign/$1/probe.json") in
	proven) assertNoErr 'likely' ;;
	likely) assertErr 'its layout is likely, and not proven' ;;
	*)
		assertStatus 8
		assertErr 'see gow-probe -v, or give a layout file' ;;
	esac
}

test_every_verdict() {
	assertEquals "ambiguous likely none proven" "$(cat "$foreign"/*/probe.json |
		jq -r .verdict | sort -u | tr '\n' ' ' | sed 's/ $//')"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
