# shellcheck shell=sh disable=SC2034,SC2154 # variables are set by functions.sh, and used by suites
# A disk that boots: an MBR, syslinux on FAT with Debian's kernel, an ext4 root with busybox. Made
# without root rights. Sourced after functions.sh; whatever is made lies in the directory it is told.

boot_kernel=''
for boot_kernel in /boot/vmlinuz-*-cloud-amd64; do :; done

# need_boot: skips where something is missing.
need_boot() {
	need_tool qemu-system-x86_64 nbdkit syslinux mcopy mkfs.vfat mkfs.ext4 sfdisk e2fsck || return 1
	[ -r "$boot_kernel" ] || { skip "needs linux-image-cloud-amd64" && return 1; }
	if [ ! -x /bin/busybox ] || ldd /bin/busybox >/dev/null 2>&1; then
		skip "needs busybox-static"
		return 1
	fi
	[ -f /usr/lib/syslinux/mbr/mbr.bin ] || { skip "needs syslinux-common" && return 1; }
}

# make_root DIRECTORY: what the guest's root file system holds. Its init writes files until it has
# written as many as the kernel's command line says (gow.files=N; 0: for ever), each followed by a
# sync and a line on the console, and powers off.
make_root() {
	mkdir -p "$1/bin" "$1/sbin" "$1/dev" "$1/proc" "$1/sys" "$1/data"
	cp /bin/busybox "$1/bin/busybox"
	cat >"$1/sbin/init" <<'END'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
exec >/dev/ttyS0 2>&1 </dev/ttyS0
files=$($b sed 's/.*gow.files=\([0-9]*\).*/\1/' /proc/cmdline)
echo gow guest: up
n=0
while [ "$files" = 0 ] || [ $n -lt "$files" ]; do
	n=$((n + 1))
	size=$((n * 7919 % 300 + 1))
	$b dd if=/dev/urandom of=/data/$n bs=1024 count=$size 2>/dev/null
	[ $((n % 5)) -ne 0 ] || $b rm -f /data/$((n - 3))
	sum=$($b sha256sum </data/$n)
	$b sync
	echo "gow guest: synced $n ${sum%% *}"
done
$b mount -o remount,ro /
echo gow guest: done
$b poweroff -f
END
	chmod 755 "$1/sbin/init"
}

# make_bootdisk DISK FILES: a raw disk of 97 MiB whose guest writes so many files.
make_bootdisk() {
	rm -rf "$1" "$1.d"
	mkdir "$1.d"
	truncate -s 97M "$1"
	printf 'label: dos\n2048,65536,6,*\n67584,131072,83\n' | sfdisk -q "$1" || return 1
	dd if=/usr/lib/syslinux/mbr/mbr.bin of="$1" bs=440 count=1 conv=notrunc status=none
	truncate -s 32M "$1.d/fat"
	mkfs.vfat -F 16 -n BOOT "$1.d/fat" >/dev/null || return 1
	cat >"$1.d/syslinux.cfg" <<END
default linux
prompt 0
label linux
kernel vmlinuz
append root=/dev/nvme0n1p2 rw rootfstype=ext4 console=ttyS0 init=/sbin/init quiet panic=-1 no_timer_check gow.files=$2
END
	mcopy -i "$1.d/fat" "$1.d/syslinux.cfg" ::syslinux.cfg &&
		mcopy -i "$1.d/fat" "$boot_kernel" ::vmlinuz &&
		syslinux --install "$1.d/fat" || return 1
	make_root "$1.d/root"
	truncate -s 64M "$1.d/ext4"
	mkfs.ext4 -q -F -L root -E lazy_itable_init=0,lazy_journal_init=0 -d "$1.d/root" "$1.d/ext4" ||
		return 1
	dd if="$1.d/fat" of="$1" bs=1M seek=1 conv=notrunc,sparse status=none
	dd if="$1.d/ext4" of="$1" bs=1M seek=33 conv=notrunc,sparse status=none
	rm -rf "$1.d"
}

# root_of DISK EXT4: the root file system out of a raw disk.
root_of() {
	dd if="$1" of="$2" bs=1M skip=33 count=64 conv=sparse status=none
}

# qemu_command CONSOLE: the guest's machine, as nbdkit --run takes it, or for eval with $uri.
qemu_command() {
	# shellcheck disable=SC2016 # nbdkit sets $uri
	echo 'exec qemu-system-x86_64 -M q35 -accel tcg -m 256 -nodefaults -display none -no-reboot' \
		"-serial file:$1" '-device nvme,serial=gow,drive=disk' \
		'-drive if=none,id=disk,format=raw,file="$uri"'
}

# assertFilesAreWhole EXT4 CONSOLE: whatever the guest said to have synced is there, byte for byte,
# but for what its next steps may have removed.
assertFilesAreWhole() {
	assertTrue "the guest synced nothing: $(cat "$2")" "grep -q 'synced [0-9]' $2"
	mkdir -p "$1.d"
	debugfs -R "rdump /data $1.d" "$1" >/dev/null 2>&1
	tr -d '\r' <"$2" | awk '/^gow guest: synced/ && $4 % 5 != 2 && length($5) == 64 {
		print $5 "  " $4 }' >"$1.sums"
	assertTrue "$(cd "$1.d/data" && sha256sum -c --quiet "$1.sums" 2>&1)" $?
	rm -rf "$1.d"
}

# boot_once VERSION: boots, has the guest write, and judges what is left.
boot_once() {
	make_bootdisk "$tmp/disk.raw" 6 || { fail "no boot disk"; return; }
	run gow-convert --force -f raw -O "gow$1" "$tmp/disk.raw" "$tmp/disk.gow"
	assertStatus 0
	run gow-info --map "$tmp/disk.gow"
	cp "$out" "$tmp/before.map"
	rm -f "$tmp/console"
	timeout "${BOOT_SECONDS:-300}" nbdkit -U - --filter=log "$plugin" "$tmp/disk.gow" \
		logfile="$tmp/log" --run "$(qemu_command "$tmp/console")" >"$tmp/said" 2>&1
	assertEquals "the guest: $(tail -n 5 "$tmp/console" "$tmp/said")" 0 $?
	assertTrue "$(cat "$tmp/console")" "grep -q 'gow guest: done' $tmp/console"
	run gow-check --data "$tmp/disk.gow"
	assertStatus 0
	run gow-info --map "$tmp/disk.gow"
	cp "$out" "$tmp/after.map"
	run gow-convert --force "$tmp/disk.gow" "$tmp/after.raw"
	assertStatus 0
	assertTrue "$("$python" "$TESTS/judgeboot.py" "$tmp/disk.raw" "$tmp/after.raw" \
		"$tmp/before.map" "$tmp/after.map" "$tmp/log" 2>&1)" $?
	root_of "$tmp/after.raw" "$tmp/after.ext4"
	assertTrue "$(e2fsck -fn "$tmp/after.ext4" 2>&1)" $?
	assertFilesAreWhole "$tmp/after.ext4" "$tmp/console"
}
