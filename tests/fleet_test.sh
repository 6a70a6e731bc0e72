#!/bin/sh
# Many images on many machines: Slurm, GNU parallel over ssh, xargs, systemd units.
# shellcheck disable=SC2016 # conditions of slurm_wait are evaluated later
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=slurm.sh
. "$TESTS/slurm.sh"

[ -z "${SANITIZE:-}" ] || skip_suite 'a sanitizer looks for nothing in Slurm and parallel'

suiteSetUp() {
	PATH=$GOW_BIN:$top/contrib/slurm:$PATH:/usr/sbin
	export PATH
	printf '%s\n' 'version 1' 'size 1M' 'map 0 1' 'blocks 2' 'data 1 pattern 7' |
		"$GOW_TESTBIN/mkimage" - "$work/leaky.gow"
}

# images N: makes so many leaky images and $tmp/list of them.
images() {
	mkdir "$tmp/images"
	seq -f "$tmp/images/image %03g.gow" "$1" >"$tmp/list"
	while read -r name; do
		cp --sparse=always "$work/leaky.gow" "$name"
	done <"$tmp/list"
}

# Of every image: one line that says that it was compacted, and none that says it twice.
assertEachDoneOnce() {
	sort "$tmp/list" >"$tmp/expected"
	jq -r 'select(.exit == 0 and .changed).image' "$@" | sort >"$tmp/done"
	diff "$tmp/expected" "$tmp/done" >"$tmp/diff"
	assertTrue "lost (<) or done twice (>): $(head -n 5 "$tmp/diff")" $?
	# Those that were done before the kill are not even looked at again.
	assertEquals 'looked at again' '' "$(jq -r 'select(.exit == 0).image' "$@" | sort | uniq -d)"
	run gow-check -q --files-from "$tmp/list"
	assertStatus 0
}

idle() {
	slurm_wait '[ -z "$(squeue -h)" ]'
}

# 20 tasks on 3 nodes. Task 3 has an image that is held, and is killed while it waits for it;
# a node is drained meanwhile.
testSlurm() {
	need_root || return 0
	need_tool slurmctld slurmd sbatch jq || return 0
	mkdir "$tmp/slurm"
	slurm_start "$tmp/slurm" || return
	images 200
	held=$(sed -n 35p "$tmp/list")
	"$GOW_TESTBIN/hold" -w -l ofd-write "$held" sleep 100 &
	holder=$!
	at_end "kill $holder 2>/dev/null"
	run gow-array.sbatch -n 10 "$tmp/list" "$tmp/results" gow-compact --wait 60
	assertStatus 0
	job=$(cat "$out")
	slurm_wait '[ "$(wc -l <"$tmp/results/3.jsonl")" -ge 4 ]'
	assertTrue 'task 3 did not get as far as the held image' $?
	scontrol update nodename=n2 state=drain reason=test
	scancel "${job}_3"
	idle
	assertEquals 'the drained node' drained "$(sinfo -h -n n2 -o %T)"
	run gow-collect "$tmp/results" --json
	assertStatus 40
	assertJson '.states.clean == 194 and .states.stopped == 1 and .states.missing == 5'
	# What was killed left the image as it was.
	kill "$holder"
	wait "$holder" 2>/dev/null
	run gow-check "$held"
	assertStatus 2
	run gow-array.sbatch -n 10 "$tmp/list" "$tmp/results" gow-compact --wait 60
	assertStatus 0
	idle
	assertEachDoneOnce "$tmp"/results/[0-9]*.jsonl
	run gow-collect "$tmp/results"
	assertStatus 0
	assertOut '^clean +200 '
	run gow-array.sbatch -n 10 "$tmp/list" "$tmp/results" gow-compact --wait 60
	assertErr 'every image has a result'
	run gow-array.sbatch -n 10 "$tmp/list" "$tmp/results" gow-check
	assertStatus 16
	assertErr 'another list or command'
}

# Without a cluster: a line that a kill cut short is no result, and spoils no other.
testSlurmCutLine() {
	images 3
	mkdir "$tmp/results"
	tr '\n' '\0' <"$tmp/list" >"$tmp/results/list"
	one=$(sed -n 1p "$tmp/list")
	printf '{"image":"%s","exit":0}\n{"image":"%s","ex' "$one" "$(sed -n 2p "$tmp/list")" >"$tmp/results/0.jsonl"
	run env SLURM_ARRAY_TASK_ID=0 "$top/contrib/slurm/gow-array.sbatch" -n 3 "$tmp/list" "$tmp/results" \
		gow-check
	assertStatus 0
	assertEquals 2 "$(jq -R 'fromjson? | select(.tool)' "$tmp/results/0.jsonl" | jq -s length)"
	run gow-check "$one"
	assertStatus 2
}

# Nor does it when the results are joined.
testCollectCutLine() {
	mkdir "$tmp/results"
	printf 'a\0b\0c\0d\0' >"$tmp/results/list"
	for task in 0 2; do
		printf '{"image":"%s","exit":0}\n{"image":"%s","ex' "$task" "$task" >"$tmp/results/$task.jsonl"
	done
	printf '{"image":"a","exit":0}\n{"image":"b","exit":0}\n' >"$tmp/results/1.jsonl"
	cp "$tmp/results/1.jsonl" "$tmp/results/10.jsonl"
	sed -i 's/"a"/"c"/; s/"b"/"d"/' "$tmp/results/10.jsonl"
	cp "$tmp/results/1.jsonl" "$tmp/results/3.jsonl"
	cp "$tmp/results/10.jsonl" "$tmp/results/4.jsonl"
	run gow-collect "$tmp/results" --json
	assertStatus 8
	assertJson '.images == 6 and .states.clean == 6 and .bad_lines == 2'
	assertEquals 12 "$(wc -l <"$tmp/results/all.jsonl")"
	run gow-collect "$tmp/nothing"
	assertStatus 16
}

# Names that are no UTF-8 look alike in the results; one that is done is not the other.
testSlurmNamesThatAreNoText() {
	mkdir "$tmp/images" "$tmp/results"
	for letter in '\344' '\366' '\303\266'; do
		# shellcheck disable=SC2059 # it is an escape
		cp --sparse=always "$work/leaky.gow" "$tmp/images/$(printf "m${letter}ller.gow")"
	done
	cp --sparse=always "$work/leaky.gow" "$tmp/images/-n"
	(cd "$tmp/images" && printf '%s\0' ./m* -n) >"$tmp/results/list"
	one=$(printf 'm\344ller.gow')
	(cd "$tmp/images" && gow-check --json "./$one") >"$tmp/results/0.jsonl"
	(cd "$tmp/images" && run env SLURM_ARRAY_TASK_ID=0 "$top/contrib/slurm/gow-array.sbatch" -n 4 \
		x "$tmp/results" gow-check)
	assertEquals "$(cat "$err")" 4 "$(wc -l <"$tmp/results/0.jsonl")"
	assertEquals 'a result of each' 4 \
		"$(jq -r '.image_hex // .image' "$tmp/results/0.jsonl" | sort -u | wc -l)"
	(cd "$tmp/images" && run env SLURM_ARRAY_TASK_ID=0 "$top/contrib/slurm/gow-array.sbatch" -n 4 \
		x "$tmp/results" gow-check)
	assertEquals 'done again' 4 "$(wc -l <"$tmp/results/0.jsonl")"
	run gow-collect "$tmp/results" --json
	assertStatus 2
	assertJson '.images == 4 and .states.advisory == 4'
}

# Without jq nothing is known to be done, and nothing said to be.
testSlurmWithoutJq() {
	images 2
	mkdir "$tmp/results" "$tmp/bin"
	printf '#!/bin/sh\nexit 127\n' >"$tmp/bin/jq"
	chmod +x "$tmp/bin/jq"
	run env PATH="$tmp/bin:$PATH" gow-array.sbatch "$tmp/list" "$tmp/results" gow-check
	assertStatus 8
	assertErr 'cannot tell which images are done'
	run env PATH="$tmp/bin:$PATH" SLURM_ARRAY_TASK_ID=0 "$top/contrib/slurm/gow-array.sbatch" -n 50 \
		"$tmp/list" "$tmp/results" gow-check
	assertStatus 8
}

# README: several at a time.
testXargs() {
	images 20
	find "$tmp/images" -name '*.gow' -print0 |
		xargs -0 -P 4 -n 8 "$GOW_BIN/gow-compact" --json >"$tmp/report.jsonl"
	assertEachDoneOnce "$tmp/report.jsonl"
}

# An sshd of our own on a loopback port, for this test's key only.
start_sshd() {
	port=$((32000 + $$ % 4000))
	ssh-keygen -q -t ed25519 -N '' -f "$tmp/host_key"
	ssh-keygen -q -t ed25519 -N '' -f "$tmp/key"
	mkdir -p /run/sshd
	cat >"$tmp/sshd_config" <<-END
		Port $port
		ListenAddress 127.0.0.1
		HostKey $tmp/host_key
		AuthorizedKeysFile $tmp/key.pub
		PidFile none
		StrictModes no
		UsePAM no
		PermitRootLogin prohibit-password
		MaxStartups 100
		SetEnv PATH=$PATH
	END
	/usr/sbin/sshd -D -f "$tmp/sshd_config" -E "$tmp/sshd.log" &
	sshd=$!
	at_end "kill $sshd"
	ssh="ssh -p $port -i $tmp/key -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
	slurm_wait '$ssh 127.0.0.1 true 2>/dev/null'
}

# README: on other machines. One image is held and fails; --resume-failed does that one alone.
testParallel() {
	need_root || return 0
	need_tool parallel sshd ssh-keygen || return 0
	start_sshd
	assertTrue "no sshd: $(cat "$tmp/sshd.log")" $? || return
	images 12
	HOME=$tmp
	export HOME
	held=$(sed -n 5p "$tmp/list")
	"$GOW_TESTBIN/hold" -w -l ofd-write "$held" sleep 100 &
	holder=$!
	at_end "kill $holder 2>/dev/null"
	slurm_wait '! "$GOW_BIN/gow-check" -q "$held" 2>/dev/null'
	for resume in '' --resume-failed; do
		# shellcheck disable=SC2086 # a flag or none
		parallel --will-cite --ssh "$ssh" --sshlogin 2/127.0.0.1 --joblog "$tmp/joblog" $resume \
			"$GOW_BIN/gow-compact" --json {} <"$tmp/list" >>"$tmp/report.jsonl" 2>>"$tmp/errors"
		kill "$holder" 2>/dev/null
		wait "$holder" 2>/dev/null
	done
	assertEachDoneOnce "$tmp/report.jsonl"
	assertEquals 'busy once' 1 "$(jq -r 'select(.exit == 64).image' "$tmp/report.jsonl" | wc -l)"
}

testSystemdUnits() {
	need_tool systemd-analyze || return 0
	mkdir "$tmp/units"
	for unit in "$top"/contrib/systemd/gow-*; do
		sed "s|/usr/bin/gow-|$GOW_BIN/gow-|" "$unit" >"$tmp/units/${unit##*/}"
	done
	run systemd-analyze verify --man=no "$tmp"/units/gow-check@srv-guests.service \
		"$tmp"/units/gow-check.timer "$tmp"/units/gow-sync@srv-guests-gold.gow.service \
		"$tmp"/units/gow-sync.timer
	assertStatus 0
	assertErrEmpty
	for unit in gow-check@ gow-sync@; do
		run systemd-analyze security --offline=true --threshold=30 "$tmp/units/$unit.service"
		assertStatus 0
	done
}

# unit_command UNIT: the shell command that it starts, as systemd hands it to sh.
unit_command() {
	sed -e ':a' -e '/\\$/{N;s/\\\n[[:space:]]*/ /;ba' -e '}' "$top/contrib/systemd/$1" |
		sed -n "s|^ExecStart=/bin/sh -c '\(.*\)' sh %f.*|\1|p" | sed 's|\$\$|$|g; s|/usr/bin/||g'
}

# What the weekly check could not list is an error, and never an empty report that looks well.
testWeeklyCheck() {
	unit_command gow-check@.service >"$tmp/command"
	assertTrue 'no command' "[ -s '$tmp/command' ]"
	images 2
	run sh -c "$(cat "$tmp/command")" sh "$tmp/images" "$tmp/report.jsonl"
	assertStatus 2
	assertEquals 2 "$(wc -l <"$tmp/report.jsonl")"
	assertEquals 'left' "$tmp/report.jsonl" "$(echo "$tmp"/report*)"
	run sh -c "$(cat "$tmp/command")" sh "$tmp/none" "$tmp/report.jsonl"
	assertStatus 8
	# A directory whose list breaks off: the images that were named are checked.
	mkdir "$tmp/bin"
	printf '#!/bin/sh\n/usr/bin/find "$@"\nexit 1\n' >"$tmp/bin/find"
	chmod +x "$tmp/bin/find"
	run env PATH="$tmp/bin:$PATH" sh -c "$(cat "$tmp/command")" sh "$tmp/images" "$tmp/report.jsonl"
	assertStatus 10
	assertEquals 2 "$(wc -l <"$tmp/report.jsonl")"
	mkdir "$tmp/images/corrupt"
	make_image map-range-v1 "$tmp/images/corrupt/a b.gow"
	run sh -c "$(cat "$tmp/command")" sh "$tmp/images" "$tmp/report.jsonl"
	assertStatus 6
	run sh -c "$(cat "$tmp/command")" sh "$tmp/images" "$tmp/nowhere/report.jsonl"
	assertTrue "status $status" "[ $((status & 8)) -ne 0 ]"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
