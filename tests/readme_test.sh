#!/bin/sh
# README.md: what it shows is what the tools do, and its recipes work.
# shellcheck disable=SC2016 # what is printed here is run later
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

PATH=$GOW_BIN:$PATH:/usr/sbin
export PATH
unset LD_PRELOAD

suiteSetUp() {
	printf '%s\n' 'version 3' 'size 1M' 'map 0-9 0' 'ver 0-9 1' 'data 0-9 pattern 3' |
		"$GOW_TESTBIN/mkimage" - "$work/guest.gow"
	printf '%s\n' 'version 3' 'size 1M' 'map 0-9 0' 'ver 0-9 1' 'ver 4-5 2' \
		'data 0-9 pattern 3' 'data 4-5 pattern 4' | "$GOW_TESTBIN/mkimage" - "$work/gold.gow"
	printf '%s\n' 'version 3' 'size 1M' 'map 0 0' 'map 1 77' 'blocks 6' 'data 0-5 pattern 3' |
		"$GOW_TESTBIN/mkimage" - "$work/damaged.gow"
}

# What has to be there before the command of that text, and is not README's to make.
prepare() {
	case $1 in
	'gow-upgrade -n old.gow')
		cat <<-'END'
			printf '%s\n' 'version 1' 'size 32M' 'map 0-199 299 step -1' 'map 200-299 300' \
				'blocks 411' 'data 0-299 pattern 2' 'data 300-399 zero' |
				"$GOW_TESTBIN/mkimage" - old.gow
		END
		;;
	'gow-check old.gow')
		cat <<-'END'
			LD_PRELOAD=$GOW_TESTBIN/faultio.so FAULTIO_FILE='*/old.gow' \
				FAULTIO_FAIL=write:30:kill gow-upgrade -q old.gow 2>/dev/null
		END
		;;
	'gow-check guest.gow damaged.gow nothing.gow'*)
		echo 'rm old.gow'
		;;
	*--compare*)
		echo 'cp "$work/guest.gow" copy.gow && cp "$work/gold.gow" .'
		;;
	esac
}

# Splits the commands with a prompt from what they print: $tmp/session runs them in one shell,
# $tmp/N.shown and $tmp/N.printed are to be the same.
session() {
	n=0
	shown=/dev/null blank=
	while IFS= read -r line; do
		case $line in
		'    $ '*)
			n=$((n + 1))
			command=${line#    \$ }
			shown=$tmp/$n.shown
			printf '%s\n' "$command" >"$tmp/$n.command"
			: >"$shown"
			prepare "$command"
			blank=
			printf '{ %s\n} >"$tmp/%s.printed" 2>&1\n' "$command" "$n"
			;;
		'    '*)
			printf '%s%s\n' "$blank" "${line#    }" >>"$shown"
			blank=
			;;
		'')
			blank='
'
			continue
			;;
		*) shown=/dev/null ;;
		esac
	done <"$top/README.md" >"$tmp/session"
}

# Sizes and digests depend on the guest's file system, and README has a directory of its own.
without_numbers() {
	sed -E 's/[0-9a-f]{32}/DIGEST/g; s/[0-9]+(\.[0-9]+)?/N/g; s/\b[KMG]iB/bytes/g
		s#\(/[^ )]*/#(#; s/ +/ /g; s/ \(N bytes\)//g; s/\bN-N-N N:N:N\b/DATE/' "$1"
}

testWhatIsShownIsPrinted() {
	need_tool mkfs.ext4 jq || return 0
	session
	assertTrue "only $n commands" "[ $n -ge 20 ]"
	mkdir "$tmp/here"
	(cd "$tmp/here" && export work tmp && timeout "$GOW_TIMEOUT" sh ../session) >"$tmp/else" 2>&1
	assertNull 'of what is not shown' "$(cat "$tmp/else")"
	for i in $(seq "$n"); do
		without_numbers "$tmp/$i.shown" >"$tmp/shown"
		without_numbers "$tmp/$i.printed" >"$tmp/printed"
		diff "$tmp/shown" "$tmp/printed" >"$tmp/diff"
		assertTrue "$(cat "$tmp/$i.command"): $(cat "$tmp/diff")" $?
	done
}

# recipe TEXT: prints the block of README.md with that text.
recipe() {
	text=$1 awk '
		/^    / { block = block substr($0, 5) "\n"; next }
		/^$/ && block { block = block "\n"; next }
		{ if (index(block, ENVIRON["text"])) printf "%s", block; block = "" }
		END { if (index(block, ENVIRON["text"])) printf "%s", block }' "$top/README.md"
}

# run_recipe TEXT [SED-EXPRESSION]: runs it in $tmp/here, with other names.
run_recipe() {
	recipe "$1" | sed "${2:-}" >"$tmp/recipe"
	assertTrue "README.md has no '$1'" "[ -s '$tmp/recipe' ]"
	(cd "$tmp/here" && run sh -e "$tmp/recipe"; exit "$status") </dev/null
	status=$?
}

images() {
	mkdir "$tmp/here"
	cp "$work"/*.gow "$tmp/here"
}

testServedMaster() {
	images
	mkdir "$tmp/here/masters"
	cp "$work/gold.gow" "$tmp/here/gold.gow.new"
	run_recipe 'gow-check --write-manifest gold.manifest.new' 's#/srv/#./#g'
	assertStatus 0
	run gow-check --manifest "$tmp/here/masters/gold.manifest" "$tmp/here/masters/gold.gow"
	assertStatus 0
}

testSeveralAtATime() {
	images
	run_recipe 'xargs -0 -P 4' 's#/srv/guests#.#'
	# xargs: of its commands one failed.
	assertStatus 123
	assertEquals 3 "$(wc -l <"$tmp/here/report.jsonl")"
}

testBeforeAGuestBoots() {
	images
	recipe '# boot-hook IMAGE' >"$tmp/hook"
	run sh "$tmp/hook" "$tmp/here/guest.gow"
	assertStatus 0
	run sh "$tmp/hook" "$tmp/here/damaged.gow"
	assertStatus 4
}

testBugReport() {
	need_tool zstd || return 0
	images
	run_recipe 'gow-convert --metadata-only damaged.gow'
	assertStatus 0
	run gow-check --json "$tmp/here/damaged.gow"
	jq -S 'del(.image, .time)' "$out" >"$tmp/expected"
	run gow-check --json "$tmp/here/look-at-this.gow"
	jq -S 'del(.image, .time)' "$out" >"$tmp/found"
	assertSameFile "$tmp/expected" "$tmp/found"
}

testKeptAndProved() {
	need_tool zstd tar || return 0
	images
	rm "$tmp/here/damaged.gow"
	mkdir "$tmp/here/backup"
	run_recipe 'for i in *.gow; do gow-convert' 's#/backup#backup#g'
	assertStatus 0
	assertNoOut differs
	for i in guest gold; do
		assertTrue "no archive of $i" "[ -s '$tmp/here/backup/$i.tar.zst' ]"
	done
}

testServedGuest() {
	need_tool nbdkit nbdcopy || return 0
	[ -e "$BUILD/plugin/nbdkit-gow-plugin.so" ] || { skip 'the plugin is not built'; return; }
	images
	mv "$tmp/here/guest.gow" "$tmp/here/disk.gow"
	recipe 'nbdkit -r -U - gow disk.gow' | grep nbdcopy >"$tmp/line"
	run gow-convert -O raw "$tmp/here/disk.gow" "$tmp/expected"
	truncate -s 1M "$tmp/here/disk.raw"
	sed "s# gow # $BUILD/plugin/nbdkit-gow-plugin.so #" "$tmp/line" >"$tmp/recipe"
	(cd "$tmp/here" && sh -e "$tmp/recipe") >"$out" 2>&1
	assertTrue "$(cat "$out")" $?
	assertSameFile "$tmp/expected" "$tmp/here/disk.raw"
}

# man_example PAGE TEXT: the example of a manual page with that text, as a shell reads it.
man_example() {
	text=$2 awk '
		/^\.Bd/ { block = ""; next }
		/^\.Ed/ { if (index(block, ENVIRON["text"])) printf "%s", block; block = ""; next }
		{ sub(/^\$ /, ""); gsub(/\\e/, "\\"); block = block $0 "\n" }' "$top/man/$1"
}

# What the manuals do with documents copes with images on which nothing could be done.
testExamplesOfManuals() {
	need_tool jq || return 0
	mkdir "$tmp/here"
	for case in sound-v1 map-range-v1 space-leak-v3 map-crosslink-v1; do
		make_image $case "$tmp/here/$case.gow"
	done
	echo text >"$tmp/here/text.gow"
	man_example gow-check.1 'select(.exit' | sed "s|/srv/guests|.|" >"$tmp/check"
	man_example gow-compact.1 'gow-compact --json' >"$tmp/compact"
	man_example gow-repair.1 '.plan[]' >"$tmp/repair"
	for example in check compact repair; do
		assertTrue "no example: $example" "[ -s '$tmp/$example' ]"
		(cd "$tmp/here" && run sh "../$example")
		assertNoErr '^jq: '
		sort "$out" | cut -d ' ' -f 1-2 >"$tmp/$example.said"
	done
	assertEquals "./map-crosslink-v1.gow map.crosslink
./map-range-v1.gow map.range
./text.gow is" "$(cat "$tmp/check.said")"
	assertEquals 5 "$(wc -l <"$tmp/compact.said")"
	assertTrue 'text.gow' "grep -q '^text.gow is' '$tmp/compact.said'"
	assertTrue 'lost' "grep -q '^map-range-v1.gow lost' '$tmp/repair.said'"
	# Whatever keeps a guest from being started does so.
	man_example gow-repair.1 'gow-repair -p -q' >"$tmp/hook"
	mkdir "$tmp/bin"
	for number in 0 1 2 3 4 8 16 32 64 127 129 130 137; do
		printf '#!/bin/sh\nexit %s\n' "$number" >"$tmp/bin/gow-repair"
		chmod +x "$tmp/bin/gow-repair"
		(PATH=$tmp/bin:$PATH sh "$tmp/hook")
		assertEquals "after $number" $((number > 3)) $?
	done
}

# shellcheck source=/dev/null
. "$SHUNIT2"
