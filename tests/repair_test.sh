#!/bin/sh
# gow-repair beyond the bytes of its repairs (repaired_test.sh has those): how it is asked,
# what it tells, undo files, and everything that can come in between.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# damaged CASE: $image, and $original to compare with.
damaged() {
	mkdir -p "$tmp/images"
	image=$tmp/images/image.gow original=$tmp/original.gow
	make_image "$1" "$image"
	make_image "$1" "$original"
}

# Whether the image says that it is in the middle of a change.
is_marked() {
	[ "$(head -c 4 "$1" | od -An -t x1 | tr -d ' ')" = 474f5721 ]
}

# What lies beside the image, other than the image.
beside() {
	find "$tmp/images" -mindepth 1 ! -name image.gow -printf '%f\n' | sort | xargs
}

assertBeside() {
	assertEquals "beside the image" "$*" "$(beside)"
}

# repaired CASE: as it is to be.
repaired() {
	cat "$fixtures/$1/recipe" "$fixtures/$1/repaired" >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/repaired.gow"
}

# ---- usage ----

testOneOfThemIsNeeded() {
	damaged map-range-v1
	state_of "$image"
	run gow-repair "$image" </dev/null
	assertStatus 16
	assertErr 'without a terminal'
	assertOutEmpty
	run gow-repair -p -y "$image"
	assertStatus 16
	run gow-repair --undo -y "$image"
	assertStatus 16
	run gow-repair -y --size 1000 "$image"
	assertStatus 16
	run gow-repair -y --size 65G "$image"
	assertStatus 8
	assertErr 'no valid size'
	run gow-repair -y --salvage "$tmp/s" "$image" "$image"
	assertStatus 16
	run gow-repair -p --assume-version 1 "$image"
	assertStatus 16
	run gow-repair -y
	assertStatus 16
	assertUnchanged "$image"
	assertBeside
}

testNoImage() {
	echo hello >"$tmp/text"
	run gow-repair -y "$tmp/text"
	assertStatus 8
	assertErr 'gow-repair: .*/text: is not a GOW image'
	run gow-repair -y --json "$tmp/none"
	assertStatus 8
	assertJson '.exit == 8 and .error == "io"'
	run gow-repair --undo "$tmp/text"
	assertStatus 8
	assertErr 'no repair to be taken back'
}

# ---- how much is done ----

testSoundIsLeftAlone() {
	damaged sound-v3
	state_of "$image"
	for how in -n -p -y; do
		run gow-repair $how "$image"
		assertStatus 0
		assertUnchanged "$image"
	done
	assertBeside
	run gow-repair --undo "$image"
	assertStatus 8
	assertErr 'no repair to be taken back'
	assertUnchanged "$image"
}

testPreenMendsOnlyWhatNeedsNoJudgement() {
	damaged everything-v3
	run gow-repair -n -p --json "$image"
	assertStatus 4
	assertJson '[.plan[].id] == ["space.tail", "header.count-low", "header.padding"]'
	assertJson 'all(.plan[]; .preen)'
	run gow-repair -p --json "$image"
	assertStatus 4
	assertJson '.changed and (.left | length > 5)'
	cat "$fixtures/everything-v3/recipe" - >"$tmp/recipe" <<-END
		extend data_start+5*block
		poke32 16 5
		repeat header_end 33554944-header_end 00
	END
	make_image "$tmp/recipe" "$tmp/expected"
	assertSameFile "$tmp/expected" "$image"
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
}

testPreenBoots() {
	for case in header-count-low-v1 header-count-high-v2 header-count-wild-v1 header-padding-v2 \
		space-tail-v1 version-zero-v3; do
		damaged $case
		run gow-repair -p "$image"
		assertStatus 1
		repaired $case
		assertSameFile "$tmp/repaired.gow" "$image"
		rm "$image".gow-undo
	done
}

testCrosslinksAndLossesAreNamedByGuestBytes() {
	damaged map-crosslink-v1
	run gow-repair -n "$image"
	assertStatus 4
	assertOut 'guest bytes 1966080-2031615 or 458752-524287 may be foreign'
	damaged map-range-v1
	run gow-repair -n --json "$image"
	assertJson 'any(.plan[]; .effect == "lost" and .guest_length >= 65536)'
	run gow-repair -n "$image"
	assertOut 'LOST: guest bytes'
}

# ---- asking ----

# answer KEYS: runs gow-repair on a terminal that gets them, a line each.
answer() {
	answer_with '' "$@"
}

# answer_with OPTIONS KEYS
answer_with() {
	gow_program=$(gow_path gow-repair)
	gow_options=$1
	shift
	gow_command="gow-repair on a terminal, answers: $*"
	: >"$err"
	for key; do echo "$key"; done >"$tmp/keys"
	# It asks as fast as it is answered: everything may be typed ahead.
	timeout 60 script -qec "stty -echo; '$gow_program' $gow_options '$image' 2>&1" /dev/null \
		<"$tmp/keys" >"$out" 2>"$err"
	status=$?
}

# It is worked out twice, to look and to write, and told once: the same as by a dry run.
testThePlanIsToldOnce() {
	damaged map-range-v1
	run gow-repair -n --json "$image"
	assertStatus 4
	json '.plan, .findings' >"$tmp/told"
	assertJson '[.plan[].offset] == [40, 64]'
	run gow-repair -n "$image"
	grep '^  ' "$out" >"$tmp/said"
	run gow-repair -y "$image"
	assertStatus 1
	grep '^  ' "$out" >"$tmp/said.y"
	assertSameFile "$tmp/said" "$tmp/said.y"
	damaged map-range-v1
	rm "$image.gow-undo"
	run gow-repair -y --json "$image"
	assertStatus 1
	json '.plan, .findings' >"$tmp/told.y"
	assertSameFile "$tmp/told" "$tmp/told.y"
}

testNumbersOfARepair() {
	printf 'version 1\nsize 10M\nmap 0 0\ntruncate 420\n' >"$tmp/cut"
	damaged "$tmp/cut"
	for option in -n -y; do
		run gow-repair $option --json "$image"
		assertJson '.lost_entries == 60 and .growth == 4193904'
		undo_bytes=$(json .undo_bytes)
	done
	assertEquals undo_bytes "$undo_bytes" "$(stat -c %s "$image.gow-undo")"
	assertEquals growth 4194324 "$(stat -c %s "$image")"
	printf 'version 1\nsize 2M\nmap 3 0\nmap 9 0\nmap 20-21 1 step 0\ndata 0-1 pattern 1\n' >"$tmp/shared"
	rm "$image.gow-undo"
	damaged "$tmp/shared"
	run gow-repair -y --json "$image"
	assertJson '.growth == 131072 and (has("lost_entries") | not)'
	assertJson '[.plan[] | [.id, .kind, .offset, .length, .source, .value, .effect, .guest_start,
		.guest_length, .other_start] | map(tostring) | join(" ")] == [
		"map.crosslink copy 4325396 65536 4194324 null suspect 589824 65536 196608",
		"map.crosslink write 56 4 null 2 none null null null",
		"map.crosslink copy 4390932 65536 4259860 null suspect 1376256 65536 1310720",
		"map.crosslink write 104 4 null 3 none null null null",
		"map.crosslink write 16 4 null 4 none null null null"]'
}

testAsking() {
	need_tool script || return 0
	damaged crosslink-pairs-v3
	pairs=$(jq '.findings[] | select(.id == "map.crosslink") | .count' \
		"$fixtures/crosslink-pairs-v3/check.json")
	assertTrue "more than one" "[ $pairs -gt 1 ]"
	answer n n n n n n
	assertStatus 4
	assertOut 'map.crosslink \(corrupt\).*'
	assertSameFile "$original" "$image"
	assertBeside
	answer q
	assertStatus 4
	assertSameFile "$original" "$image"
	answer y q
	assertStatus 4
	assertSameFile "$original" "$image"
	answer y n n n n n
	assertStatus 4
	assertOut 'repaired in part'
	assertFalse "one is repaired" "cmp -s '$original' '$image'"
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
	answer what a
	assertStatus 1
	repaired crosslink-pairs-v3
	assertSameFile "$tmp/repaired.gow" "$image"
}

# What would have been lost was not.
testQuitLosesNothing() {
	need_tool script || return 0
	printf 'version 1\nsize 10M\nmap 0 0\ncount 7\ntruncate 420\n' >"$tmp/cut"
	damaged "$tmp/cut"
	answer_with --json y q
	assertStatus 4
	assertOut '"changed":false'
	assertNoOut 'lost_entries'
	assertSameFile "$original" "$image"
	answer_with --json y y y
	assertOut '"lost_entries":60'
}

# What may be done with nobody there to judge, for every kind of damage that there is a fixture of.
testPreenIsATable() {
	mkdir "$tmp/damaged"
	for case in "$fixtures"/*-v1 "$fixtures/header-padding-v2" "$fixtures"/version-zero*; do
		[ ! -e "$case/repaired" ] || make_image "$case/recipe" "$tmp/damaged/${case##*/}"
	done
	run gow-repair -n -p --json "$tmp/damaged"/*
	json '.plan[]?.id' >"$tmp/done"
	assertEquals "header.count-high header.count-low header.count-wild header.padding space.tail version.zero" \
		"$(sort -u "$tmp/done" | xargs)"
}

# Answers are given per problem, and one that is refused keeps what depends on it from being done:
# the disk does not grow over a block that has another owner, since that one's bytes past the old
# end would be cleared.
testAnswersInCombination() {
	need_tool script || return 0
	cat >"$tmp/shared" <<-END
		version 1
		size 2*block+512
		map 0 0
		map 1 1
		map 2 1
		map 5 2
		blocks 3
		data 0-2 pattern 1
	END
	damaged "$tmp/shared"
	set -- y n
	for link; do
		for beyond; do
			answer_with "--size 655360" "$link" "$beyond" "$beyond"
			case $link$beyond in
			n*)
				assertStatus 4
				assertSameFile "$original" "$image"
				;;
			yn) assertEquals 131584 "$(od -An -t u8 -j 8 -N 8 "$image" | tr -d ' ')" ;;
			yy)
				assertEquals 655360 "$(od -An -t u8 -j 8 -N 8 "$image" | tr -d ' ')"
				"$GOW_TESTBIN/guest" "$image" "$tmp/guest"
				make_raw "$tmp/shared" "$tmp/before"
				cmp -n 131584 "$tmp/before" "$tmp/guest" || fail "the guest's bytes changed"
				;;
			esac
			cp --sparse=always "$original" "$image"
			rm -f "$image".gow-undo*
		done
	done
}

# Numbers at their limit go no further: 0 would say that a block was never written.
testVersionNumbersAtTheirLimit() {
	cat >"$tmp/limit" <<-END
		version 3
		size 1M
		map 0-1 0
		map 2-4 100
		data 0-1 pattern 1
		ver 0 max32-2
		ver 1 0
		ver 2 max32
		ver 3 max32-1
		ver 4 7
		blocks 2
	END
	damaged "$tmp/limit"
	run gow-repair -y "$image"
	assertEquals "4294967293 0 4294967295 4294967295 8" "$(numbers_of "$image" 5)"
	# The last number that can be given, and where there is none.
	for highest in max32-2 max32-1; do
		sed "s/max32-2/$highest/; /map 2-4/d; /ver [234]/d" "$tmp/limit" >"$tmp/last"
		rm -f "$image".gow-undo*
		make_image "$tmp/last" "$image"
		run gow-repair -y "$image"
		numbers_of "$image" 2
	done >"$tmp/numbers"
	assertEquals "4294967293 4294967294 4294967294 0" "$(xargs <"$tmp/numbers")"
	assertOut 'no higher number is left'
}

numbers_of() {
	od -An -v -t u4 -w4 -j $((16777216 + 20)) -N $(($2 * 4)) "$1" | xargs
}

# A copy that came to stand where an entry points would give it foreign data, and it
# would never be found again.
testCopiesKeepOffWhatEntriesPointTo() {
	need_tool script || return 0
	damaged crosslink-cut-tail-range-v3
	answer n n y y y
	assertStatus 4
	assertOut 'map.range has to be repaired first'
	assertSameFile "$original" "$image"
	answer n a a a a
	assertStatus 1
	assertNoOut 'has to be repaired first'
}

# ---- sizes ----

testSize() {
	printf 'version 1\nsize 0\nmap 0-9 0\ndata 0-9 pattern 1\n' >"$tmp/sizeless"
	damaged "$tmp/sizeless"
	run gow-repair -y --size 20G "$image"
	assertStatus 1
	assertEquals 21474836480 "$(od -An -t u8 -j 8 -N 8 "$image" | tr -d ' ')"
	run gow-repair --undo "$image"
	assertSameFile "$original" "$image"
}

testSizeGrowsTheDiskOverWhatLiesBeyond() {
	cat >"$tmp/beyond" <<-END
		version 3
		size 100*block+512
		map 100 0
		map 150 1
		data 0-1 pattern 1
	END
	damaged "$tmp/beyond"
	run gow-repair -y --size 200*65536 "$image"
	assertStatus 16
	run gow-repair -y --size 5M "$image"
	assertStatus 16
	assertErr 'not made smaller'
	run gow-repair -y --size 13107200 "$image"
	assertStatus 1
	# What stood past the old end was not the guest's, and must not become so.
	cat "$tmp/beyond" - >"$tmp/recipe" <<-END
		poke64 8 13107200
		repeat data_start+512 block-512 00
	END
	make_image "$tmp/recipe" "$tmp/expected"
	assertSameFile "$tmp/expected" "$image"
	run gow-repair --undo "$image"
	assertSameFile "$original" "$image"
}

# entry LOGICAL OCTAL...: writes the four bytes of an entry of a version 1 image.
entry() {
	# shellcheck disable=SC2059 # octal numbers
	printf "$2" | dd of="$image" bs=4 seek="$((5 + $1))" conv=notrunc 2>/dev/null
}

# The guest discards a block of its old part, and gets its place for a new one past the old end.
testUndoOfALargerSizeAfterTheGuestWrote() {
	printf 'version 1\nsize 1M\nmap 0-9 0\nmap 20 10\ndata 0-10 pattern 1\n' >"$tmp/beyond"
	damaged "$tmp/beyond"
	run gow-repair -y --size 4M "$image"
	assertStatus 1
	entry 9 '\377\377\377\377'
	run gow-repair --undo -n "$image"
	assertStatus 8
	entry 40 '\011\0\0\0'
	state_of "$image"
	run gow-repair --undo "$image"
	assertStatus 8
	assertErr 'written to since the repair.*larger'
	assertUnchanged "$image"
	entry 9 '\011\0\0\0'
	entry 40 '\377\377\377\377'
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
}

# ---- version numbers ----

testResetVersions() {
	damaged version-exhausted-v3
	run gow-repair -y "$image"
	assertStatus 2
	assertOut 'throw its copy away'
	assertSameFile "$original" "$image"
	run gow-repair -y --reset-versions "$image"
	assertStatus 1
	grep -v '^\(fill \)\?ver ' "$fixtures/version-exhausted-v3/recipe" >"$tmp/recipe"
	make_image "$tmp/recipe" "$tmp/expected"
	assertSameFile "$tmp/expected" "$image"
	run gow-repair --undo "$image"
	assertSameFile "$original" "$image"
}

# ---- a ruined preamble ----

testAssumeVersion() {
	for version in 1 2 3; do
		cat >"$tmp/whole" <<-END
			version $version
			size 100M
			map 0-99 0 shuffle 3
			map 200-299 100
			data 0-199 pattern 1
		END
		make_image "$tmp/whole" "$tmp/whole.gow"
		for ruin in 'poke 0 00000000' 'poke 4 00000000' 'poke 0 ffffffffffffffff'; do
			{ cat "$tmp/whole"; echo "$ruin"; } >"$tmp/ruined"
			damaged "$tmp/ruined"
			run gow-repair -y "$image"
			assertStatus 8
			state_of "$image"
			for other in 1 2 3; do
				[ $other = $version ] && continue
				run gow-repair -y --assume-version $other "$image"
				assertStatus 8
				assertErr 'looks? (more )?like version'
			done
			run gow-repair -n --assume-version $version --json "$image"
			assertStatus 4
			assertJson '.evidence | test("of 200 allocated entries 200 name a block")'
			assertUnchanged "$image"
			run gow-repair -y --assume-version $version "$image"
			assertStatus 1
			assertSameFile "$tmp/whole.gow" "$image"
			run gow-repair --undo "$image"
			assertStatus 0
			assertSameFile "$original" "$image"
		done
	done
}

# What says that a change is under way is no ruin: it goes on saying so.
testAssumeVersionOfAMarkedImage() {
	printf 'version 2\nsize 100M\nmap 0-99 0\ndata 0-99 pattern 1\npoke 0 474f572100000000\n' >"$tmp/ruined"
	damaged "$tmp/ruined"
	run gow-repair -y --assume-version 2 --json "$image"
	assertStatus 4
	assertJson '[.left[].id] == ["journal.missing"]'
	assertEquals 474f572102000000 "$(head -c 8 "$image" | od -An -t x1 | tr -d ' ')"
}

testAssumeVersionNeedsEvidence() {
	mkdir "$tmp/images"
	image=$tmp/images/image.gow
	# Zeros: all entries name block 0.  Noise: hardly one names a block that is there.
	truncate -s 40M "$image"
	for version in 1 2 3; do
		run gow-repair -y --assume-version $version "$image"
		assertStatus 8
		assertErr 'does not look like version'
	done
	head -c 5000000 /dev/urandom >"$image"
	run gow-repair -y --assume-version 1 "$image"
	assertStatus 8
	assertBeside
}

# ---- salvage ----

testSalvage() {
	cat >"$tmp/leaky" <<-END
		version 2
		size 1M
		map 0 0
		map 300 2
		blocks 4
		data 0-2 pattern 1
		data 3 text "lost and found"
	END
	damaged "$tmp/leaky"
	run gow-repair -n --salvage "$tmp/saved" --json "$image"
	assertJson '.salvaged_blocks == 3'
	assertFalse "a dry run saves nothing" "[ -e '$tmp/saved' ]"
	run gow-repair -y --salvage "$tmp/saved" --json "$image"
	assertStatus 3
	assertJson '.salvaged_blocks == 3'
	printf 'gow-salvage 1\nblock 1 offset %s leaked\nblock 2 offset %s logical 300\nblock 3 offset %s leaked\n' \
		$((16777728 + 65536)) $((16777728 + 2 * 65536)) $((16777728 + 3 * 65536)) >"$tmp/expected"
	assertSameFile "$tmp/expected" "$tmp/saved.index"
	for block in 1 2 3; do
		dd if="$original" of="$tmp/a" bs=512 skip=$((32769 + 128 * block)) count=128 status=none
		dd if="$tmp/saved" of="$tmp/b" bs=65536 skip=$block count=1 status=none
		assertSameFile "$tmp/a" "$tmp/b"
	done
	state_of "$image"
	run gow-repair -y --salvage "$tmp/saved" "$image"
	assertStatus 8
	assertErr 'exists already'
	assertUnchanged "$image"
}

# ---- undo files ----

# Where there is nothing to repair, blocks are saved all the same.
testSalvageOfASoundImage() {
	damaged space-leak-v1
	ln -s nothing "$tmp/link"
	state_of "$image"
	for name in "$tmp/link" "$tmp/none/saved" "$tmp" nbd://localhost/saved; do
		run gow-repair -y --salvage "$name" "$image"
		assertStatus 8
		assertErr "^gow-repair: $name: "
	done
	run gow-repair -y --salvage "$tmp/saved" --json "$image"
	assertStatus 2
	assertJson '.salvaged_blocks > 0 and (.changed | not)'
	assertEquals 'listed' "$(json .salvaged_blocks)" "$(grep -c ' leaked$' "$tmp/saved.index")"
	assertUnchanged "$image"
	assertBeside
}

testRepairsStack() {
	damaged everything-v3
	run gow-repair -p "$image"
	assertStatus 4
	cp --sparse=always "$image" "$tmp/preened"
	run gow-repair -y --clear-pending "$image"
	assertStatus 3
	assertBeside image.gow.gow-undo image.gow.gow-undo.2
	run gow-repair --undo -n --json "$image"
	assertStatus 0
	assertJson '.layers_left == 1 and .changed == false'
	assertJson ".interrupted == false and .old_size == $(stat -c %s "$tmp/preened") and
		.new_size == $(stat -c %s "$image") and .undo_file == \"$image.gow-undo.2\" and
		(.repair | startswith(\"header.size, \"))"
	assertBeside image.gow.gow-undo image.gow.gow-undo.2
	run gow-repair --undo --json "$image"
	assertStatus 0
	assertJson '.layers_left == 1 and .changed'
	assertSameFile "$tmp/preened" "$image"
	# It has a mark, which the first repair left: no sign that it was interrupted.
	assertTrue 'no mark' "is_marked '$image'"
	run gow-repair --undo --json "$image"
	assertStatus 0
	assertJson '.interrupted == false and .layers_left == 0'
	assertSameFile "$original" "$image"
	assertBeside
}

# Where the directory lets nobody remove it, an undo file stays, and is none that can be undone.
testAnUndoFileThatCannotBeRemovedIsNotCounted() {
	printf 'version 1\nsize 1M\nmap 0 0\nmap 1 9\nblocks 1\ndata 0 pattern 1\ncount 0\n' >"$tmp/recipe"
	damaged "$tmp/recipe"
	run gow-repair -p "$image"
	assertStatus 4
	run gow-repair -y "$image"
	assertStatus 1
	assertBeside image.gow.gow-undo image.gow.gow-undo.2
	run_faulty FAULTIO_FAIL=unlink:1+:EPERM gow-repair --undo --json "$image"
	assertStatus 0
	assertErr 'gow-undo.2: warning: is of no more use, and cannot be removed'
	assertJson '.layers_left == 1 and .changed'
	assertBeside image.gow.gow-undo image.gow.gow-undo.2
	run gow-repair --undo -n --json "$image"
	assertStatus 0
	assertJson '.layers_left == 0'
	run gow-repair --undo -n "$image"
	assertNoOut 'can be undone'
	run_faulty FAULTIO_FILE="*gow-undo" FAULTIO_FAIL=unlink:1+:EPERM gow-repair --undo "$image"
	assertStatus 0
	assertErr 'gow-undo: warning: is of no more use'
	assertNoOut 'can be undone'
	assertSameFile "$original" "$image"
	run gow-repair --undo "$image"
	assertStatus 8
	assertErr 'there is no repair'
	assertBeside
}

# A pointer would take the place of what it points to.
testUndoFileElsewhereIsNotBeside() {
	damaged map-range-v1
	mkdir "$tmp/directory"
	ln -s . "$tmp/directory/link"
	mv "$image" "$tmp/directory/image.gow"
	image=$tmp/directory/image.gow
	for name in "$image.gow-undo" "$tmp/directory/link/image.gow.gow-undo" \
		"$image.gow-undo.2" "$image.gow-undo.new"; do
		run gow-repair -y --undo-file "$name" "$image"
		assertStatus 16
		assertErr 'beside the image'
		assertSameFile "$original" "$image"
		assertBeside
	done
	(cd "$tmp/directory" && run gow-repair -y --undo-file image.gow.gow-undo image.gow; exit $status)
	assertEquals 16 $?
	assertSameFile "$original" "$image"
	assertBeside
}

testUndoFileElsewhere() {
	damaged map-range-v1
	mkdir "$tmp/elsewhere"
	(cd "$tmp/elsewhere" && run gow-repair -y --undo-file undo "$image"; exit $status)
	assertEquals 1 $?
	assertBeside image.gow.gow-undo
	assertTrue "it is there" "[ -s '$tmp/elsewhere/undo' ]"
	# Somebody who names an undo file that is there is not to lose it.
	damaged_copy=$tmp/copy.gow
	make_image map-range-v1 "$damaged_copy"
	state_of "$damaged_copy"
	run gow-repair -y --undo-file "$tmp/elsewhere/undo" "$damaged_copy"
	assertStatus 8
	assertErr 'exists already'
	assertUnchanged "$damaged_copy"
	mv "$tmp/elsewhere/undo" "$tmp/elsewhere/away"
	run gow-repair --undo "$image"
	assertStatus 8
	assertErr 'must be brought back'
	mv "$tmp/elsewhere/away" "$tmp/elsewhere/undo"
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
	assertBeside
	assertEquals "elsewhere" "" "$(ls -A "$tmp/elsewhere")"
}

testUndoFileThroughALink() {
	damaged map-range-v1
	mkdir "$tmp/links"
	ln -s "$image" "$tmp/links/link.gow"
	run gow-repair -y "$tmp/links/link.gow"
	assertStatus 1
	assertBeside image.gow.gow-undo
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
}

testUndoRefusesWhatIsNotItsImage() {
	damaged map-crosslink-v1
	run gow-repair -y "$image"
	assertStatus 1
	cp "$image" "$tmp/good"
	# The guest wrote to the copy since; the file grew; another image lies there.
	printf x | dd of="$image" bs=1 seek=$(($(stat -c %s "$image") - 1)) conv=notrunc status=none
	state_of "$image"
	run gow-repair --undo "$image"
	assertStatus 8
	assertErr 'changed since the repair'
	assertUnchanged "$image"
	cp "$tmp/good" "$image"
	truncate -s +65536 "$image"
	run gow-repair --undo "$image"
	assertStatus 8
	assertErr 'not as long as'
	cp "$original" "$image"
	run gow-repair --undo "$image"
	assertStatus 8
	make_image sound-v1 "$image"
	run gow-repair --undo "$image"
	assertStatus 8
	# Torn, and of something else.
	cp "$tmp/good" "$image"
	cp "$image.gow-undo" "$tmp/undo"
	truncate -s -512 "$image.gow-undo"
	run gow-repair --undo "$image"
	assertStatus 8
	assertErr 'torn'
	echo hello >"$image.gow-undo"
	run gow-repair --undo "$image"
	assertStatus 8
	assertErr 'no undo file'
	# What is not known never stands in the way of a repair, and stays.
	cp "$tmp/undo" "$image.gow-undo"
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
}

testUndoFileHasTheRightsOfTheImage() {
	damaged map-range-v1
	chmod 640 "$image"
	run gow-repair -y "$image"
	assertEquals 640 "$(stat -c %a "$image.gow-undo")"
}

# ---- a mark without its record ----

testAMarkWithoutARecordStays() {
	damaged journal-missing-v1
	state_of "$image"
	run gow-repair -y "$image"
	assertStatus 4
	assertOut 'journal.missing: left: .*--clear-pending'
	assertUnchanged "$image"
	run gow-repair -n --json "$image"
	assertJson '.plan == []'
	for wrong in '-p --clear-pending' '--undo --clear-pending' '--clear-pending' \
		'-y --manifest x'; do
		# shellcheck disable=SC2086
		run gow-repair $wrong "$image" </dev/null
		assertStatus 16
	done
	assertUnchanged "$image"
	run gow-repair -n --clear-pending "$image"
	assertStatus 4
	assertErr 'forgotten without its record'
	assertUnchanged "$image"
	run gow-repair -y --clear-pending "$image"
	assertStatus 1
	assertErr 'forgotten without its record'
	repaired journal-missing-v1
	assertSameFile "$tmp/repaired.gow" "$image"
}

testAManifestDecidesAboutAMark() {
	damaged journal-missing-v2
	repaired journal-missing-v2
	run gow-check --write-manifest "$tmp/right" "$tmp/repaired.gow"
	assertStatus 0
	printf x | dd of="$tmp/repaired.gow" bs=1 seek=16777800 conv=notrunc status=none
	run gow-check --write-manifest "$tmp/wrong" "$tmp/repaired.gow"
	state_of "$image"
	for dry in '' -n; do
		run gow-repair -y $dry --clear-pending --manifest "$tmp/wrong" "$image"
		assertStatus 4
		assertErr 'is not the disk of the manifest \(data.mismatch, 1\)'
	done
	mkfifo "$tmp/pipe"
	run gow-repair -y --clear-pending --manifest "$tmp/pipe" "$image"
	assertStatus 16
	assertErr 'a pipe cannot be read twice'
	run gow-repair -y --clear-pending --manifest "$tmp/none" "$image"
	assertStatus 8
	assertUnchanged "$image"
	assertBeside
	run gow-repair -y --clear-pending --manifest "$tmp/right" "$image"
	assertStatus 1
	assertErrEmpty
	run gow-check --manifest "$tmp/right" "$image"
	assertStatus 0
}

# interrupted CASE [CALL]: $image in the middle of a repair, with its undo file.
interrupted() {
	damaged "$1"
	run_faulty FAULTIO_FILE="$image" FAULTIO_FAIL="${2:-sync:2}:kill" gow-repair -y "$image"
	assertTrue "pending" "is_marked '$image'"
	assertBeside image.gow.gow-undo
}

# stays_marked RE: neither -y nor --clear-pending removes the mark.
stays_marked() {
	state_of "$image"
	for options in '' --clear-pending; do
		# shellcheck disable=SC2086
		run gow-repair -y $options "$image"
		assertStatus 4
		cat "$err" >>"$out"
		assertOut "$1"
		assertUnchanged "$image"
	done
}

# What may be the record of the change keeps the mark where it is.
testAnUndoFileInDoubtKeepsTheMark() {
	interrupted map-range-v1
	cp "$image.gow-undo" "$tmp/undo"
	printf x | dd of="$image.gow-undo" bs=1 seek=700 conv=notrunc status=none
	stays_marked 'damaged'
	cp "$tmp/undo" "$image.gow-undo"
	truncate -s -1536 "$image.gow-undo"
	stays_marked 'torn'
	cp "$tmp/undo" "$image.gow-undo"
	# A copy that was padded is of no length that the repair knows.
	truncate -s +512 "$image"
	stays_marked 'does not belong'
	truncate -s -512 "$image"
	state_of "$image"
	run_faulty FAULTIO_FILE="$image.gow-undo" FAULTIO_READ=0-512 \
		gow-repair -y --clear-pending "$image"
	assertStatus 4
	assertErr 'gow-undo'
	assertUnchanged "$image"
	run gow-repair -p "$image"
	assertTrue "rolled back" "[ $((status & 72)) -eq 0 ]"
	assertSameFile "$original" "$image"
}

# Where everybody may write to the image, too, as to all files of some file systems, an undo file is
# believed to which everybody may write.
testUndoFilesOfAnImageForEverybody() {
	for mode in 0666 0660; do
		interrupted map-range-v1
		chmod $mode "$image"
		chmod $mode "$image.gow-undo"
		run gow-repair -p "$image"
		assertTrue "rolled back: $status" "[ $((status & 72)) -eq 0 ]"
		assertSameFile "$original" "$image"
		assertBeside
		run gow-repair -y --undo-file "$tmp/undo" "$image"
		assertStatus 1
		chmod $mode "$image.gow-undo" "$tmp/undo"
		run gow-repair --undo "$image"
		assertStatus 0
		assertSameFile "$original" "$image"
	done
	# But nobody who may not write to the image.
	for modes in 0660:0666 0640:0660 0644:0646; do
		interrupted map-range-v1
		chmod "${modes%:*}" "$image"
		chmod "${modes#*:}" "$image.gow-undo"
		run gow-repair -p "$image"
		assertStatus 4
		assertErr 'chmod go-w'
		rm "$image.gow-undo"
	done
	need_root || return 0
	interrupted map-range-v1
	chmod 0660 "$image" "$image.gow-undo"
	chgrp 12345 "$image.gow-undo"
	run gow-repair -p "$image"
	assertStatus 4
	assertErr 'chmod go-w'
}

# A file system whose files are all for everybody: an undo file there is of use only for an image there.
testUndoFileOnAFileSystemForEverybody() {
	need_root || return 0
	need_tool mkntfs ntfs-3g || return 0
	damaged map-crosslink-v1
	state_of "$image"
	mount_ntfs ntfs-3g || return 0
	[ "$(stat -c %a "$tmp/mnt")" = 777 ] || { skip 'not for everybody' && return; }
	run gow-repair -y --undo-file "$tmp/mnt/undo" "$image"
	assertStatus 8
	assertErr "mnt/undo.*would be open to others to write"
	assertUnchanged "$image"
	assertBeside
	assertEquals 'on the file system' '' "$(ls "$tmp/mnt")"
	cp "$original" "$tmp/mnt/image.gow"
	for option in -q "--undo-file=$tmp/mnt/undo"; do
		run gow-repair -y "$option" "$tmp/mnt/image.gow"
		assertStatus 1
		run gow-repair --undo "$tmp/mnt/image.gow"
		assertStatus 0
		assertSameFile "$original" "$tmp/mnt/image.gow"
	done
	run_faulty FAULTIO_FILE="$tmp/mnt/image.gow" FAULTIO_FAIL=sync:2:kill \
		gow-repair -y "$tmp/mnt/image.gow"
	run gow-repair -p "$tmp/mnt/image.gow"
	assertSameFile "$original" "$tmp/mnt/image.gow"
}

# What another user puts beside an image, where everybody may (/tmp), is not written over it.
testAPlantedUndoFileIsNotObeyed() {
	need_root || return 0
	interrupted map-range-v1
	chown nobody "$image.gow-undo"
	state_of "$image"
	run gow-repair -p "$image"
	assertTrue "obeyed: status $status" "[ $((status & 12)) -ne 0 ]"
	assertUnchanged "$image"
	run gow-repair --undo "$image"
	assertTrue "obeyed: status $status" "[ $((status & 12)) -ne 0 ]"
	assertUnchanged "$image"
	# It may be the record all the same, whose image went to another owner: it is named.
	for option in -n '-n --clear-pending'; do
		# shellcheck disable=SC2086 # words
		run gow-repair $option "$image"
		assertStatus 4
		assertErr 'gow-undo: belongs to another user, so it is not believed'
	done
	assertUnchanged "$image"
	# It does not hide the real one, whatever its number.
	cp "$image.gow-undo" "$image.gow-undo.9"
	chown nobody "$image.gow-undo.9"
	chown root "$image.gow-undo"
	chmod 0664 "$image.gow-undo"
	run gow-repair -p "$image"
	assertStatus 4
	assertErr 'chmod go-w'
	assertUnchanged "$image"
	chmod 0644 "$image.gow-undo"
	run gow-repair -p "$image"
	assertTrue "rolled back" "[ $((status & 72)) -eq 0 ]"
	assertSameFile "$original" "$image"
}

testAPointerToAnotherUsersFileIsNotFollowed() {
	need_root || return 0
	make_image map-range-v1 "$tmp/images.gow"
	run gow-repair -y --undo-file "$tmp/undo" "$tmp/images.gow"
	assertStatus 1
	chown nobody "$tmp/undo"
	state_of "$tmp/images.gow"
	run gow-repair --undo "$tmp/images.gow"
	assertErr 'belongs to another user'
	assertUnchanged "$tmp/images.gow"
	chown root "$tmp/undo"
	run gow-repair --undo "$tmp/images.gow"
	assertStatus 0
}

testUndoFilesAreNotForOthersToWrite() {
	make_image map-range-v1 "$tmp/a.gow"
	chmod 0666 "$tmp/a.gow"
	run gow-repair -y "$tmp/a.gow"
	assertStatus 1
	assertEquals 644 "$(stat -c %a "$tmp/a.gow.gow-undo")"
}

testTheMarkStaysWhenTheImageWasMoved() {
	interrupted map-range-v1 sync:3
	mkdir "$tmp/elsewhere"
	mv "$image" "$tmp/elsewhere/image.gow"
	state_of "$tmp/elsewhere/image.gow"
	run gow-repair -y "$tmp/elsewhere/image.gow"
	assertStatus 4
	assertUnchanged "$tmp/elsewhere/image.gow"
	mv "$tmp/elsewhere/image.gow" "$tmp/images/renamed.gow"
	state_of "$tmp/images/renamed.gow"
	run gow-repair -y "$tmp/images/renamed.gow"
	assertStatus 4
	assertUnchanged "$tmp/images/renamed.gow"
	mv "$tmp/images/renamed.gow" "$image"
	run gow-repair -y "$image"
	assertStatus 1
}

testHardLinks() {
	damaged map-range-v1
	mkdir "$tmp/elsewhere"
	ln "$image" "$tmp/elsewhere/other.gow"
	state_of "$image"
	for how in -n -p -y; do
		[ $how != -p ] || continue
		run gow-repair $how "$image"
		assertStatus 8
		assertErr 'hard links'
		assertUnchanged "$image"
		assertBeside
	done
	run gow-repair -y --undo-file "$tmp/undo" "$image"
	assertStatus 1
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
}

testABindMountOfTheFileAlone() {
	need_root || return 0
	damaged map-range-v1
	mkdir "$tmp/elsewhere"
	: >"$tmp/elsewhere/image.gow"
	mount --bind "$image" "$tmp/elsewhere/image.gow" 2>/dev/null ||
		{ skip "cannot mount"; return; }
	at_end "umount '$tmp/elsewhere/image.gow'"
	state_of "$image"
	for how in -n -y; do
		run gow-repair $how "$tmp/elsewhere/image.gow"
		assertStatus 8
		assertErr 'mounted here'
	done
	assertUnchanged "$image"
	assertEquals image.gow "$(ls -A "$tmp/elsewhere")"
	assertBeside
	run gow-repair -y "$image"
	assertStatus 1
	run gow-repair --undo "$image"
	assertSameFile "$original" "$image"
}

# A repair is long over, and what its pointer leads to is deleted: the record of a later
# upgrade is certain.
testAnOldPointerDoesNotBlockAnUpgrade() {
	cat >"$tmp/old" <<-END
		version 2
		size 10M
		map 0-99 0 shuffle 3
		map 310 100
		data 0-100 pattern 1
	END
	damaged "$tmp/old"
	run gow-repair -y --undo-file "$tmp/undo" "$image"
	assertStatus 3
	run gow-compact "$image"
	assertBeside image.gow.gow-undo
	rm "$tmp/undo"
	cp --sparse=always "$image" "$tmp/before"
	"$GOW_TESTBIN/guestsum" "$image" >"$tmp/guest"
	for way in 'gow-upgrade' 'gow-repair -p' 'gow-repair -y' 'gow-upgrade --rollback'; do
		cp --sparse=always "$tmp/before" "$image"
		run_faulty FAULTIO_FILE="$image" FAULTIO_FAIL="sync:4:kill" gow-upgrade "$image"
		assertTrue "pending" "is_marked '$image'"
		run gow-check "$image"
		assertOut 'upgrade'
		# shellcheck disable=SC2086
		run $way "$image"
		assertTrue "$way: $status" "[ $((status & ~3)) -eq 0 ]"
		case $way in gow-repair*) assertErr 'image.gow.gow-undo: .*brought back' ;; esac
		assertFalse "$way" "is_marked '$image'"
		"$GOW_TESTBIN/guestsum" "$image" >"$tmp/guest-now"
		assertSameFile "$tmp/guest" "$tmp/guest-now"
	done
}

# ---- interrupted ----

# The image is what it was, or what it was to be, or says that it is neither.
check_left() {
	if is_marked "$image"; then
		run gow-check --json "$image"
		assertStatus 4
		assertJson '[.findings[].id] == ["journal.pending"] and
			(.pending | test("repair \\(map.crosslink"))'
		run gow-check "$image"
		assertOut '^    .*repair \(map'
		run gow-info --json "$image"
		assertStatus 4
		assertJson '.pending | test("repair \\(map.crosslink")'
		run gow-repair -n --json "$image"
		assertStatus 4
		assertJson '.plan[0].kind == "roll-back"'
		run gow-repair -p "$image"
		assertTrue "rolled back" "[ $((status & 72)) -eq 0 ]"
		assertSameFile "$original" "$image"
	elif cmp -s "$image" "$tmp/repaired.gow"; then
		run gow-repair --undo "$image"
		assertStatus 0
		assertSameFile "$original" "$image"
	else
		assertSameFile "$original" "$image"
	fi
	run gow-repair -y "$image"
	assertStatus 1
	assertSameFile "$tmp/repaired.gow" "$image"
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
	assertBeside
}

testKilledAtEveryCall() {
	case=crosslink-three-v1
	repaired $case
	damaged $case
	state=0
	for call in write sync truncate rename unlink allocate; do
		n=1
		while :; do
			run_faulty FAULTIO_FILE="$tmp/images*" FAULTIO_FAIL="$call:$n:kill" \
				gow-repair -y "$image"
			if [ $status -lt 128 ]; then
				run gow-repair --undo "$image"
				assertStatus 0
				break
			fi
			is_marked "$image" && state=$((state + 1))
			check_left
			n=$((n + 1))
		done
	done
	assertTrue "some kills left it pending ($state)" "[ $state -ge 4 ]"
}

testUndoKilledAtEveryCall() {
	case=map-crosslink-v1
	repaired $case
	damaged $case
	state=0
	for call in write sync truncate unlink; do
		n=1
		while :; do
			run gow-repair -y "$image"
			assertStatus 1
			run_faulty FAULTIO_FILE="$tmp/images*" FAULTIO_FAIL="$call:$n:kill" \
				gow-repair --undo "$image"
			[ $status -lt 128 ] && break
			is_marked "$image" && state=$((state + 1))
			# Run again, it goes on where it was.
			run gow-repair --undo "$image"
			assertTrue "$call $n" "[ $status -eq 0 ] || cmp -s '$image' '$original'"
			assertSameFile "$original" "$image"
			n=$((n + 1))
		done
		assertSameFile "$original" "$image"
	done
	assertTrue "some kills left it pending ($state)" "[ $state -ge 3 ]"
}

testEveryFailingCall() {
	case=map-crosslink-v1
	repaired $case
	damaged $case
	for call in write:EIO write:ENOSPC sync:EIO truncate:EFBIG rename:EDQUOT allocate:ENOSPC; do
		n=1
		while :; do
			run_faulty FAULTIO_FILE="$tmp/images*" \
				FAULTIO_FAIL="${call%:*}:$n:${call#*:}" gow-repair -y "$image"
			[ $status -eq 1 ] && break
			assertEquals "exit status of $call $n" 8 "$status"
			assertOutEmpty
			check_left
			n=$((n + 1))
		done
		assertTrue "$call was made to fail" "[ $n -gt 1 ]"
		run gow-repair --undo "$image"
		assertStatus 0
	done
}

testSignal() {
	case=crosslink-all-v1
	damaged $case
	run_faulty FAULTIO_FILE="$image" FAULTIO_FAIL="write:10:signal=15" gow-repair -y "$image"
	assertStatus 32
	assertErr 'rolled back'
	assertSameFile "$original" "$image"
	assertBeside
}

testUndoOfAnInterruptedRepair() {
	interrupted map-range-v1
	run gow-repair --undo -n --json "$image"
	assertStatus 0
	assertJson '.interrupted and .repair == "map.range" and .layers_left == 0'
	run gow-repair --undo "$image"
	assertStatus 0
	assertOut 'undone: the interrupted repair \(map.range\)'
	assertSameFile "$original" "$image"
	assertBeside
}

testSalvageReadsAPendingImage() {
	case=map-range-v1
	damaged $case
	run_faulty FAULTIO_FILE="$image" FAULTIO_FAIL="sync:2:kill" gow-repair -y "$image"
	assertTrue "pending" "is_marked '$image'"
	run gow-info --json "$image"
	assertStatus 4
	run gow-convert --salvage -O raw "$image" "$tmp/now.raw"
	assertStatus 4
	run gow-convert --salvage -O raw "$original" "$tmp/before.raw"
	assertStatus 4
	assertSameFile "$tmp/before.raw" "$tmp/now.raw"
	run gow-convert -O raw "$image" "$tmp/refused.raw"
	assertStatus 4
	assertErr 'journal.pending'
	# Also where nothing was corrupt before: it is not what the image is going to be.
	rm "$image.gow-undo"
	interrupted space-tail-v3
	run gow-convert --salvage --json -O raw "$image" "$tmp/old.raw"
	assertStatus 4
	assertJson '.damaged and .losses == []'
	run gow-convert -O raw "$original" "$tmp/whole.raw"
	assertStatus 0
	assertSameFile "$tmp/whole.raw" "$tmp/old.raw"
}

testPendingWithoutItsUndoFile() {
	case=map-range-v1
	damaged $case
	mkdir "$tmp/elsewhere"
	run_faulty FAULTIO_FILE="$image" FAULTIO_FAIL="sync:2:kill" \
		gow-repair -y --undo-file "$tmp/elsewhere/undo" "$image"
	assertTrue "pending" "is_marked '$image'"
	# As long as the pointer says that there is one, nobody may go on without.
	mv "$tmp/elsewhere/undo" "$tmp/undo"
	state_of "$image"
	run gow-check --json "$image"
	assertJson '[.findings[].id] == ["journal.pending"]'
	run gow-repair -y "$image"
	assertStatus 4
	assertErr 'must be brought back'
	assertUnchanged "$image"
	mv "$tmp/undo" "$tmp/elsewhere/undo"
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
	assertBeside
}

# Another file takes the name of the undo file: before the image is touched, and while it is written.
testAnUndoFileThatIsReplacedMeanwhile() {
	for option in '' "--undo-file=$tmp/undo"; do
		for fault in allocate:1 sync:2 sync:3; do
			damaged map-range-v1
			echo other >"$tmp/other"
			undo=$image.gow-undo
			[ -z "$option" ] || undo=$tmp/undo
			run_faulty FAULTIO_FILE="$image" FAULTIO_SWAP="$tmp/other" FAULTIO_SWAP_TO="$undo" \
				FAULTIO_FAIL=$fault:swap FAULTIO_TRACE="$tmp/trace" \
				gow-repair -y ${option:+"$option"} "$image"
			assertStatus 8
			assertErr 'the undo file was removed or replaced meanwhile'
			assertFalse "no $fault" "[ -e '$tmp/other' ]"
			assertSameFile "$original" "$image"
			[ $fault != allocate:1 ] || assertFalse "written to" "grep '^write ' '$tmp/trace'"
			rm -f "$image".gow-undo* "$tmp/undo" "$tmp/trace"
		done
	done
}

# An image that is copied with its pointer leads to the same undo file, which is still the first one's.
testACopyLeavesTheUndoFileAlone() {
	mkdir "$tmp/elsewhere" "$tmp/copies"
	for fault in sync:3:kill sync:100:EIO; do
		damaged crosslink-three-v1
		run_faulty FAULTIO_FILE="$image" FAULTIO_FAIL=$fault \
			gow-repair -y --undo-file "$tmp/elsewhere/undo" "$image"
		cp --sparse=always "$image" "$image.gow-undo" "$tmp/copies"
		run gow-repair --undo "$tmp/copies/${image##*/}"
		assertStatus 0
		assertSameFile "$original" "$tmp/copies/${image##*/}"
		run gow-repair --undo "$image"
		assertStatus 0
		assertSameFile "$original" "$image"
		assertNull "$fault leaves" "$(ls -A "$tmp/elsewhere")"
		assertEquals "$fault leaves" "${image##*/}" "$(ls -A "$tmp/copies")"
	done
}

# ---- garbled writes, unreadable marks ----

# A medium garbles one write after the other: the right bytes, or a non-zero exit and an image
# that is what it was, or can be had back.
testEveryGarbledWriteOfARepair() {
	case=crosslink-three-v1
	repaired $case
	damaged $case
	n=1
	while :; do
		run_faulty FAULTIO_FILE="$tmp/images*" FAULTIO_FAIL="write:$n:flip" \
			gow-repair -y "$image"
		if [ $status -eq 1 ]; then
			assertSameFile "$tmp/repaired.gow" "$image"
			run gow-repair --undo "$image"
			assertStatus 0
			assertSameFile "$original" "$image"
		else
			assertEquals "write $n" 8 "$status"
			run gow-repair -p "$image"
			assertSameFile "$original" "$image"
		fi
		cp --sparse=always "$original" "$image"
		rm -f "$image".gow-undo*
		n=$((n + 1))
		[ $n -le 24 ] || break
	done
}

# The same of an undo, and of a rollback.
testEveryGarbledWriteOfAnUndo() {
	case=crosslink-three-v1
	damaged $case
	for how in --undo -p; do
		for n in $(seq 12); do
			if [ $how = -p ]; then
				run_faulty FAULTIO_FILE="$image" FAULTIO_FAIL="sync:3:kill" \
					gow-repair -y "$image"
				assertTrue "pending" "is_marked '$image'"
			else
				run gow-repair -y "$image"
				assertStatus 1
			fi
			run_faulty FAULTIO_FILE="$tmp/images*" FAULTIO_FAIL="write:$n:flip" \
				gow-repair $how "$image"
			if [ $((status & 8)) -eq 0 ]; then
				assertSameFile "$original" "$image"
			else
				run gow-repair -p "$image"
				assertSameFile "$original" "$image"
			fi
			cp --sparse=always "$original" "$image"
			rm -f "$image".gow-undo*
		done
	done
}

# done_at: where the marks begin in the undo file, the done one first.
done_at() {
	echo $(($(stat -c %s "$image.gow-undo") - 1024))
}

testAnUnreadableMarkIsOneInvalidMark() {
	interrupted map-crosslink-v1
	for mark in 0 512; do
		at=$(($(done_at) + mark))
		run_faulty FAULTIO_FILE="$image.gow-undo" FAULTIO_READ="$at-$((at + 512))" \
			gow-check "$image"
		assertStatus 4
		assertOut 'journal.pending'
		run_faulty FAULTIO_FILE="$image.gow-undo" FAULTIO_READ="$at-$((at + 512))" \
			gow-repair -n "$image"
		assertStatus 4
		assertOut 'put back'
	done
	at=$(done_at)
	run_faulty FAULTIO_FILE="$image.gow-undo" FAULTIO_READ="$at-$((at + 1024))" \
		gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
	# At rest: whether it was taken back is told by the bytes.
	run gow-repair -y "$image"
	assertStatus 1
	at=$(($(done_at) + 512))
	run_faulty FAULTIO_FILE="$image.gow-undo" FAULTIO_READ="$at-$((at + 512))" \
		gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
}

# Writing what says that it is done failed, and everything was rolled back; the undo file is
# still there. It must not stand in the way of the layer below.
testAFailedMarkDoesNotBlockOlderLayers() {
	damaged crosslink-cut-tail-range-v3
	run gow-repair -p "$image"
	assertBeside image.gow.gow-undo
	# A layer that says garbage of its end, and whose change is not in the image.
	run gow-repair -y "$image"
	assertStatus 1
	cp "$image.gow-undo.2" "$tmp/layer"
	run gow-repair --undo "$image"
	cp "$tmp/layer" "$image.gow-undo.2"
	assertBeside image.gow.gow-undo image.gow.gow-undo.2
	size=$(stat -c %s "$tmp/layer")
	printf 'GOW-DO' | dd of="$image.gow-undo.2" bs=1 seek=$((size - 1024)) conv=notrunc status=none
	printf x | dd of="$image.gow-undo.2" bs=1 seek=$((size - 1000)) conv=notrunc status=none
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
}

# ---- what was done since ----

# kept_since SIZE BLOCK: a guest writes to the block that it kept when the other owner, that logical block
# of a disk of that size, got a copy.
kept_since() {
	printf '%s\n' 'version 1' "size $1" 'map 0-3 0' "map $2 2" 'data 0-3 pattern 1' >"$tmp/linked"
	damaged "$tmp/linked"
	run gow-repair -y "$image"
	assertStatus 1
	cp --sparse=always "$image" "$tmp/good"
	for at in 0 65535; do
		cp --sparse=always "$tmp/good" "$image"
		printf '\377' | dd of="$image" bs=1 seek=$((4194324 + 2 * 65536 + at)) conv=notrunc status=none
		state_of "$image"
		for dry in '' -n; do
			run gow-repair --undo $dry "$image"
			assertStatus 8
			assertErr 'written to since the repair'
			assertUnchanged "$image"
		done
	done
	# What it writes elsewhere is kept.
	cp --sparse=always "$tmp/good" "$image"
	printf 'new' | dd of="$image" bs=1 seek=$((4194324 + 65536)) conv=notrunc status=none
	run gow-repair --undo "$image"
	assertStatus 0
	printf 'new' | dd of="$original" bs=1 seek=$((4194324 + 65536)) conv=notrunc status=none
	assertSameFile "$original" "$image"
}

testUndoKeepsWhatTheGuestWroteSince() {
	kept_since 1M 9
	kept_since 4G 65535
}

# ---- others, and no room ----

testBusy() {
	damaged map-range-v1
	need_leases "$tmp" || return 0
	state_of "$image"
	run hold -r "$image" "$GOW_BIN/gow-repair" -y "$image"
	assertStatus 64
	run hold -r -l ofd-read "$image" "$GOW_BIN/gow-repair" --undo "$image"
	assertStatus 64
	assertUnchanged "$image"
}

testNoRoom() {
	need_root || return 0
	mount_tmpfs 9m
	make_image crosslink-all-v1 "$tmp/source"
	cp --sparse=always "$tmp/source" "$mnt/image.gow"
	state_of "$mnt/image.gow"
	run gow-repair -y "$mnt/image.gow"
	assertStatus 8
	assertErr 'needs [0-9]+ bytes'
	assertUnchanged "$mnt/image.gow"
	assertEquals "nothing is left" image.gow "$(ls -A "$mnt")"
	run gow-repair -n "$mnt/image.gow"
	assertStatus 4
}

# On two file systems there is to be room on either of them.
testNoRoomElsewhere() {
	need_root || return 0
	mount_tmpfs 9m
	make_image crosslink-all-v1 "$tmp/source"
	cp --sparse=always "$tmp/source" "$mnt/image.gow"
	state_of "$mnt/image.gow"
	run gow-repair -y --undo-file "$tmp/undo" "$mnt/image.gow"
	assertStatus 8
	assertErr "^gow-repair: $mnt/image.gow: needs [0-9]+ bytes"
	assertUnchanged "$mnt/image.gow"
	full=$mnt
	head -c 16M /dev/zero >"$full/all" 2>/dev/null
	run gow-repair -y --undo-file "$full/undo" "$tmp/source"
	assertStatus 8
	assertErr "^gow-repair: $full/undo: needs [0-9]+ bytes"
	assertSameFile "$tmp/source" "$full/image.gow"
	assertEquals 'what is left' 'source stderr stdout' "$(find "$tmp" -maxdepth 1 -type f -printf '%f\n' | sort | xargs)"
}

testReadOnly() {
	need_root || return 0
	mount_tmpfs 20m
	make_image map-range-v1 "$mnt/image.gow"
	mount -o remount,ro "$mnt"
	run gow-repair -y "$mnt/image.gow"
	assertStatus 8
	run gow-repair -n "$mnt/image.gow"
	assertStatus 4
}

testMany() {
	damaged map-range-v1
	make_image sound-v1 "$tmp/images/sound.gow"
	make_image space-leak-v1 "$tmp/images/leak.gow"
	run gow-repair -y --json "$image" "$tmp/images/sound.gow" "$tmp/images/leak.gow" "$tmp/none"
	assertStatus 11
	assertEquals '1 0 2 8' "$(json .exit | xargs)"
}

testManyCrosslinks() {
	cat >"$tmp/big" <<-END
		version 3
		size 256G
		map 0-3999999 0 shuffle 5
		map 4000000-4099999 100000
		count 4000000
	END
	damaged "$tmp/big"
	run maxrss "$tmp/rss" "$GOW_BIN/gow-repair" -n "$image"
	assertStatus 4
	assertEquals 100000 "$(grep -c 'copy of its own' "$out")"
	case ${SANITIZE:-} in
	'') assertTrue "within 64 MiB: $(cat "$tmp/rss") KiB" "[ $(cat "$tmp/rss") -le 65536 ]" ;;
	esac
}

# A directory for the undo file that is not there: the message names it, in a dry run, too.
testUndoFileInNoDirectory() {
	damaged map-crosslink-v1
	state_of "$image"
	mkdir "$tmp/here"
	for file in "$tmp/gone/undo" ../gone/undo; do
		for option in -n -y; do
			(cd "$tmp/here" && run gow-repair $option --undo-file "$file" "$image"; exit "$status")
			assertEquals "$option $file" 8 $?
			assertErr "${file%/*}: .*No such file or directory"
		done
	done
	# The working directory was removed.
	(cd "$tmp/here" && rmdir "$tmp/here" && run gow-repair -y --undo-file undo "$image"; exit "$status")
	assertEquals 8 $?
	assertErr 'cannot find the directory any more: No such file'
	assertUnchanged "$image"
	assertBeside
}

# What the undo file would be called, or is called while it is made, may be somebody's: it stays.
testUndoFileTakesNoOtherFilesName() {
	damaged map-crosslink-v1
	ln -s image.gow "$tmp/images/link.gow"
	ln "$image" "$tmp/images/other.gow"
	for name in image.gow link.gow other.gow ../images/image.gow; do
		for option in -n -y; do
			(cd "$tmp/images" && run gow-repair $option --undo-file $name image.gow; exit $status)
			assertEquals "$option $name" 16 $?
			assertErr 'would take the name of the image itself'
		done
	done
	rm "$tmp/images/link.gow" "$tmp/images/other.gow"
	mv "$image" "$tmp/images/x.gow-undo.new"
	run gow-repair -y --undo-file "$tmp/images/x" "$tmp/images/x.gow-undo.new"
	assertStatus 16
	assertErr 'would take the name of the image itself'
	mv "$tmp/images/x.gow-undo.new" "$image"
	assertSameFile "$original" "$image"
	assertBeside
	# Another image, a disk that begins with zeros, a text: elsewhere, and beside the image.
	make_image sound-v1 "$tmp/another.gow"
	truncate -s 1M "$tmp/disk"
	echo guest | dd of="$tmp/disk" bs=1 seek=70000 conv=notrunc status=none
	echo hello >"$tmp/text"
	mkdir "$tmp/elsewhere"
	for file in another.gow disk text; do
		for option in "--undo-file=$tmp/elsewhere/undo" -v; do
			name=$tmp/elsewhere/undo.gow-undo.new
			[ "$option" != -v ] || name=$image.gow-undo.new
			ln "$tmp/$file" "$name"
			run gow-repair -y "$option" "$image"
			assertStatus 8
			assertErr "$name: stands in the way of an undo file.*rename it"
			assertSameFile "$tmp/$file" "$name"
			rm "$name"
			assertSameFile "$original" "$image"
			assertBeside
			assertEquals elsewhere '' "$(ls "$tmp/elsewhere")"
		done
	done
	# What a run left that was killed makes way: nothing, zeros, the beginning of an undo file.
	for left in empty zeros begun; do
		case $left in
		empty) : >"$image.gow-undo.new" ;;
		zeros) truncate -s 4096 "$image.gow-undo.new" ;;
		begun) printf 'GOW-UNDO%04096d' 0 >"$image.gow-undo.new" ;;
		esac
		run gow-repair -y "$image"
		assertStatus 1
		assertBeside image.gow.gow-undo
		run gow-repair --undo "$image"
		assertStatus 0
		assertBeside
	done
}

# A finished undo file would be taken for what another one's run has left.
testUndoFileIsNotCalledUnfinished() {
	damaged map-crosslink-v1
	for name in undo.gow-undo.new other.gow.gow-undo.new other.gow.gow-undo.12.new; do
		for option in --undo-file --salvage; do
			run gow-repair -y $option "$tmp/$name" "$image"
			assertStatus 16
			assertErr "^gow-repair: $tmp/$name: is a name for undo files that are not finished"
			assertSameFile "$original" "$image"
			assertBeside
		done
	done
	run gow-repair -y --undo-file "$tmp/gow-undo.new" "$image"
	assertStatus 1
}

# Each of them is named, with what it is.
testUndoFileIsNothingElse() {
	damaged map-crosslink-v1
	mkdir "$tmp/directory"
	mkfifo "$tmp/fifo"
	ln -s nothing "$tmp/link"
	for case in "$tmp/directory:is no regular file" "$tmp/fifo:is no regular file" \
		"$tmp/link:is a symbolic link" '/dev/null:is no regular file'; do
		run gow-repair -y --undo-file "${case%%:*}" "$image"
		assertStatus 8
		assertErr "^gow-repair: ${case%%:*}: ${case#*:}"
		assertSameFile "$original" "$image"
		assertBeside
	done
	# What the pointer leads to, and not the pointer, is what cannot be opened.
	run gow-repair -y --undo-file "$tmp/undo" "$image"
	assertStatus 1
	mv "$tmp/undo" "$tmp/away"
	mkdir "$tmp/undo"
	run gow-repair --undo "$image"
	assertStatus 8
	assertErr "^gow-repair: $tmp/undo: cannot open: Is a directory"
}

# The directory of the image by another path.
testUndoFileBesideByAnotherPath() {
	need_root || return 0
	damaged map-crosslink-v1
	mkdir "$tmp/bind"
	mount --bind "$tmp/images" "$tmp/bind" || { skip "no bind mounts" && return; }
	at_end "umount $(gow_quote "$tmp/bind")"
	for name in image.gow.gow-undo image.gow.gow-undo.2 image.gow.gow-undo.new; do
		run gow-repair -y --undo-file "$tmp/bind/$name" "$image"
		assertStatus 16
		assertErr 'beside the image'
		assertBeside
	done
	assertSameFile "$original" "$image"
}

# mount_ntfs PROGRAM OPTION...: $mnt is a new NTFS, whose files are all for everybody.
mount_ntfs() {
	truncate -s 40M "$tmp/ntfs"
	mkntfs -F -q "$tmp/ntfs" >"$out" 2>&1 || { fail mkntfs; return 1; }
	attach_loop "$tmp/ntfs" || return 1
	mnt=$tmp/mnt
	mkdir "$mnt"
	"$@" "$loop" "$mnt" 2>"$err" || { skip "no $1: $(cat "$err")" && return 1; }
	at_end "umount $(gow_quote "$mnt")"
}

# On a file system that does not tell small letters from capitals.
testUndoFileBesideInOtherLetters() {
	need_root || return 0
	need_tool mkntfs lowntfs-3g || return 0
	damaged map-crosslink-v1
	mount_ntfs lowntfs-3g -o ignore_case || return 0
	cp "$original" "$mnt/image.gow"
	[ -f "$mnt/IMAGE.gow" ] || { skip "it tells them" && return; }
	for name in IMAGE.GOW.gow-undo Image.gow.Gow-Undo.new; do
		run gow-repair -y --undo-file "$mnt/$name" "$mnt/image.gow"
		assertStatus 16
		assertErr 'beside the image'
	done
	run gow-repair -y --undo-file "$mnt/IMAGE.gow" "$mnt/image.gow"
	assertStatus 16
	assertErr 'name of the image itself'
	assertEquals image.gow "$(ls "$mnt")"
	assertSameFile "$original" "$mnt/image.gow"
	run gow-repair -y --undo-file "$mnt/undo" "$mnt/image.gow"
	assertStatus 1
	run gow-repair --undo "$mnt/image.gow"
	assertStatus 0
	assertSameFile "$original" "$mnt/image.gow"
}

# Two repairs with one name for their undo files: neither loses its own to the other.
testUndoFilesOfOneName() {
	damaged map-crosslink-v1
	cp "$original" "$tmp/images/second.gow"
	mkdir "$tmp/elsewhere"
	# The first one stops before it gives its undo file the name, and after it did.
	for call in rename:1 unlink:1; do
		FAULTIO_FILE="$tmp/elsewhere/*" FAULTIO_FAIL="$call:signal=19" LD_PRELOAD=$GOW_TESTBIN/faultio.so \
			ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" \
			"$GOW_BIN/gow-repair" -y -q --undo-file "$tmp/elsewhere/undo" "$image" \
			>"$tmp/first" 2>&1 &
		wait_for_stop $!
		run gow-repair -y -q --undo-file "$tmp/elsewhere/undo" "$tmp/images/second.gow"
		second=$status
		kill -CONT $!
		wait $!
		first=$?
		assertFalse "$call: both: $first $second" "[ $first$second = 11 ]"
		for name in image second; do
			run gow-check -q "$tmp/images/$name.gow"
			[ $status -eq 0 ] || continue
			run gow-repair --undo "$tmp/images/$name.gow"
			assertStatus 0
		done
		assertSameFile "$original" "$image"
		assertSameFile "$original" "$tmp/images/second.gow"
		rm -f "$tmp/elsewhere/"* "$tmp/images/"*undo*
	done
}

# What is salvaged keeps off the names of undo files, which would be written over it or take it away.
testSalvageKeepsOffTheUndoFile() {
	damaged everything-v3
	state_of "$image"
	for name in "$image.gow-undo" "$image.gow-undo.new" "$image.gow-undo.7"; do
		for option in -n -y; do
			run gow-repair $option --salvage "$name" "$image"
			assertStatus 16
			assertErr 'is a name for undo files'
		done
	done
	for option in "s --undo-file=$tmp/s" "s --undo-file=$tmp/s.index" \
		"s.gow-undo.new --undo-file=$tmp/s"; do
		# shellcheck disable=SC2086 # words
		run gow-repair -y --salvage="$tmp/"$option "$image"
		assertStatus 16
		assertErr 'is what the undo file is called|that are not finished'
	done
	assertUnchanged "$image"
	assertBeside
	assertFalse 'salvaged' "[ -e '$tmp/s' ] || [ -e '$tmp/s.index' ]"
	run gow-repair -y --salvage "$tmp/s" --undo-file "$tmp/u" "$image"
	assertStatus 4
	assertTrue 'both are there' "[ -s '$tmp/s' ] && [ -s '$tmp/u' ]"
}

# stopped_repair CALL DIRECTORY: the repair is stopped at a call on the image; meanwhile the directory
# of its undo file is removed.
stopped_repair() {
	FAULTIO_FILE="$image" FAULTIO_FAIL="$1:signal=19" LD_PRELOAD=$GOW_TESTBIN/faultio.so \
		ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" \
		"$GOW_BIN/gow-repair" -y --undo-file "$2/undo" "$image" >"$out" 2>"$err" &
	wait_for_stop $!
	rm -r "$2"
	kill -CONT $!
	wait $!
	status=$?
}

# Before there is an undo file, and after it was made: no repair without one.
testUndoFileLosesItsDirectory() {
	damaged map-crosslink-v1
	mkdir "$tmp/elsewhere"
	stopped_repair sync:1 "$tmp/elsewhere"
	assertStatus 8
	assertErr "$tmp/elsewhere: .*No such file or directory"
	assertSameFile "$original" "$image"
	assertBeside
	for call in write:1 sync:2 sync:3; do
		mkdir "$tmp/elsewhere"
		stopped_repair $call "$tmp/elsewhere"
		assertStatus 8
		assertErr "$tmp/elsewhere: .*No such file or directory"
		assertErr 'everything was rolled back'
		assertNoErr 'cannot be removed'
		assertSameFile "$original" "$image"
		assertBeside
	done
	# Afterwards, it has to be brought back.
	mkdir "$tmp/elsewhere"
	run gow-repair -y --undo-file "$tmp/elsewhere/undo" "$image"
	assertStatus 1
	mv "$tmp/elsewhere" "$tmp/away"
	run gow-repair --undo "$image"
	assertStatus 8
	assertErr "must be brought back, $tmp/elsewhere/undo: No such file or directory"
	mv "$tmp/away" "$tmp/elsewhere"
	run gow-repair --undo "$image"
	assertStatus 0
	assertSameFile "$original" "$image"
}

# The undo file's name would be longer than names can be: said before anything is done, in a dry
# run, too, and with --undo-file, which leaves a name beside the image as well.
# What is added to a name of at most 255 bytes: .gow-undo, a number, and .new while it is made.
testLongName() {
	longest=$(printf '%0242d' 0)
	name=0$longest
	make_image map-crosslink-v1 "$tmp/$name"
	state_of "$tmp/$name"
	for option in -n -y "--undo-file=$tmp/undo -y"; do
		# shellcheck disable=SC2086 # two words
		run gow-repair $option "$tmp/$name"
		assertStatus 8
		assertErr 'name too long for an undo file, which has \.gow-undo\.new.*rename the image'
	done
	assertUnchanged "$tmp/$name"
	make_image everything-v3 "$tmp/$longest"
	cp --sparse=always "$tmp/$longest" "$tmp/original"
	run gow-repair -p "$tmp/$longest"
	assertStatus 4
	state_of "$tmp/$longest"
	for option in -n -y; do
		run gow-repair $option --clear-pending "$tmp/$longest"
		assertStatus 8
		assertErr 'name too long for an undo file, which has \.gow-undo\.2\.new'
	done
	assertUnchanged "$tmp/$longest"
	run gow-repair --undo "$tmp/$longest"
	assertStatus 0
	assertSameFile "$tmp/original" "$tmp/$longest"
	# Elsewhere it is .gow-undo.new that is added.
	for option in -n -y; do
		run gow-repair $option --undo-file "$tmp/0$longest" "$tmp/original"
		assertStatus 8
		assertErr "/0$longest: is too long a name"
	done
	run gow-repair -y --undo-file "$tmp/1${longest#0}" "$tmp/original"
	assertStatus 4
	run gow-repair --undo "$tmp/original"
	assertStatus 0
	assertEquals 'what is left' "$(printf '%s\n' "$longest" "$name" original stderr stdout)" "$(ls "$tmp")"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
