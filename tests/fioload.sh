# shellcheck shell=sh disable=SC2034,SC2154 # variables are set by functions.sh, and used by suites
# A load of random writes, trims and flushes over NBD, by fio, which verifies what it wrote; and a raw
# twin of the disk, to which the same is done by fio's own logs. To be sourced after functions.sh and
# servers.sh.

# write_jobs SIZE SEED KIB: fio's jobs for a disk of that size, each of them for about so many KiB.
# Every job's pattern is another one. The last two run side by side, on halves of the disk.
write_jobs() {
	size=$1 half=$(($1 / 2 / 65536 * 65536))
	cat <<END
[global]
ioengine=nbd
uri=$uri
randseed=$2
iodepth=16
serialize_overlap=1
bssplit=512/20:4k/30:12k/10:64k/20:192k/20
verify=pattern
verify_fatal=1
verify_state_save=0
size=$size
io_size=$3k
[write]
rw=randwrite
fsync=32
verify_pattern=0x01$(printf '%06x' "$2")%o
write_iolog=$tmp/fio.write
[trim]
stonewall
rw=randtrim
norandommap=1
write_iolog=$tmp/fio.trim
[trimwrite]
stonewall
rw=randtrimwrite
fsync=16
verify_pattern=0x02$(printf '%06x' "$2")%o
write_iolog=$tmp/fio.trimwrite
[low]
stonewall
rw=randwrite
norandommap=1
do_verify=0
size=$half
fsync=8
verify_pattern=0x03$(printf '%06x' "$2")%o
write_iolog=$tmp/fio.low
[high]
rw=randtrim
norandommap=1
offset=$half
size=$((size - half))
write_iolog=$tmp/fio.high
END
}

# fio_load TWIN SEED KIB: the load on $uri, and the same on the twin; ends with a flush.
fio_load() {
	# fio appends to its logs.
	rm -f "$tmp"/fio.*
	write_jobs "$(stat -c %s "$1")" "$2" "$3" >"$tmp/fio.jobs"
	fio "$tmp/fio.jobs" >"$tmp/fio.said" 2>&1
	assertTrue "seed $2: fio: $(grep -iE 'verify|error|fio:' "$tmp/fio.said" | head -n 5)" $?
	assertTrue "$(qemu-io -f raw -c flush "$uri" 2>&1)" $?
	set -- "$1" "$(printf '%06x' "$2")"
	"$python" "$TESTS/judgefio.py" "$1" "01$2" "$tmp/fio.write" 00 "$tmp/fio.trim" "02$2" \
		"$tmp/fio.trimwrite" "03$2" "$tmp/fio.low" 00 "$tmp/fio.high" >"$tmp/fio.done" 2>&1
	assertTrue "the twin: $(cat "$tmp/fio.done")" $?
}

# assertIsTwin IMAGE TWIN [OPTION...]: the image is sound, and the guest's disk in it is the twin.
assertIsTwin() {
	image=$1 twin=$2
	shift 2
	run gow-check --data --digest --json "$@" "$image"
	assertTrue "$image: status $status: $(cat "$out" "$err")" "[ $status -eq 0 ] || [ $status -eq 2 ]"
	assertEquals "$image: the digest" "$("$GOW_TESTBIN/guestdigest" "$twin")" "$(json .digest)"
}
