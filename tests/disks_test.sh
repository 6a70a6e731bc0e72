#!/bin/sh
# Real disks: file systems made by their own tools with files in them, partitioned
# disks, disks to boot from.  Each goes raw -> gow1 -> gow3 -> gow2 -> raw and is the
# same byte for byte; and whoever made a file system finds nothing wrong with it.

# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# Files of all kinds, the same in every run: $work/files.
suiteSetUp() {
	PATH=$PATH:/usr/sbin:/sbin
	mkdir -p "$work/files/directory/deep"
	echo "the guest's letter" >"$work/files/letter"
	: >"$work/files/empty"
	truncate -s 300000 "$work/files/zeros"
	# Nothing that compresses, and nothing that repeats.
	awk 'BEGIN {
		srand(7)
		for (i = 0; i < 120000; i++)
			printf "%08x%08x\n", rand() * 4294967296, rand() * 4294967296
	}' >"$work/files/directory/large"
	cat "$work/files/directory/large" "$work/files/directory/large" >"$work/files/directory/deep/larger"
	i=0
	while [ $i -lt 60 ]; do
		head -c $((i * 777)) "$work/files/directory/large" >"$work/files/directory/deep/file-$i"
		i=$((i + 1))
	done
}

converted() {
	run gow-convert "$@"
	assertStatus 0
	assertErrEmpty
}

# round DISK: by way of every version to $tmp/back.raw, the same as the disk, but for
# the zeros that make whole sectors.
round() {
	converted "$1" "$tmp/disk.gow1"
	run gow-check --data "$tmp/disk.gow1"
	assertStatus 0
	converted --verify "$tmp/disk.gow1" "$tmp/disk.gow3"
	run gow-check --data "$tmp/disk.gow3"
	assertStatus 0
	converted "$tmp/disk.gow3" "$tmp/disk.gow2"
	run gow-check --data "$tmp/disk.gow2"
	assertStatus 0
	converted "$tmp/disk.gow2" "$tmp/back.raw"
	assertSameFile "$1" "$tmp/back.raw"
	# The same with zeros that are really there, and straight back.
	cp --sparse=never "$1" "$tmp/full.raw"
	converted --force "$tmp/full.raw" "$tmp/again.gow1"
	assertSameFile "$tmp/disk.gow1" "$tmp/again.gow1"
	rm "$tmp/full.raw" "$tmp/again.gow1"
	if command -v qemu-img >/dev/null; then
		qemu-img compare -q -f raw -F raw "$1" "$tmp/back.raw"
		assertTrue "qemu-img sees a difference" $?
	fi
	# Something was stored, and nothing was that a disk like this has not.
	stored=$(($(stat -c %s "$tmp/disk.gow1") - 4194324))
	taken=$(($(stat -c %b "$tmp/back.raw") * 512))
	assertTrue "$stored bytes stored, $taken taken" "[ $stored -gt 0 ] && [ $taken -le $((stored + 65536)) ]"
}

# checked COMMAND...: the owner of the file system finds it sound.
checked() {
	"$@" >"$tmp/fsck" 2>&1
	assertEquals "$* on what came back: $(tail -n 5 "$tmp/fsck")" 0 $?
}

testExt4() {
	need_tool mkfs.ext4 e2fsck debugfs || return 0
	for options in "-b 4096" "-b 1024 -O ^has_journal"; do
		rm -f "$tmp"/*.raw "$tmp"/*.gow*
		truncate -s 96M "$tmp/disk.raw"
		# shellcheck disable=SC2086 # words
		mkfs.ext4 -q -F $options -L guest -d "$work/files" "$tmp/disk.raw" >"$tmp/mkfs" 2>&1 ||
			fail "mkfs.ext4: $(cat "$tmp/mkfs")"
		round "$tmp/disk.raw"
		checked e2fsck -fn "$tmp/back.raw"
		debugfs -R "cat directory/deep/larger" "$tmp/back.raw" >"$tmp/larger" 2>"$tmp/debugfs"
		assertSameFile "$work/files/directory/deep/larger" "$tmp/larger"
	done
}

testFat() {
	need_tool mkfs.fat fsck.fat mcopy || return 0
	for options in 12:1440K 16:32M 32:64M; do
		rm -f "$tmp"/*.raw "$tmp"/*.gow*
		truncate -s "${options#*:}" "$tmp/disk.raw"
		mkfs.fat -F "${options%:*}" -n GUEST "$tmp/disk.raw" >"$tmp/mkfs" 2>&1 ||
			fail "mkfs.fat: $(cat "$tmp/mkfs")"
		if [ "${options%:*}" -eq 12 ]; then
			mcopy -i "$tmp/disk.raw" "$work/files/letter" "$work/files/zeros" ::
		else
			mcopy -s -i "$tmp/disk.raw" "$work/files"/* ::
		fi
		assertTrue mcopy $?
		round "$tmp/disk.raw"
		checked fsck.fat -n "$tmp/back.raw"
		mtype -i "$tmp/back.raw" ::letter >"$tmp/letter"
		assertSameFile "$work/files/letter" "$tmp/letter"
	done
}

testNtfs() {
	need_tool mkntfs ntfscp ntfsfix ntfscat || return 0
	truncate -s 48M "$tmp/disk.raw"
	mkntfs -F -q -s 512 -p 0 -H 0 -S 0 -L guest "$tmp/disk.raw" >"$tmp/mkfs" 2>&1 ||
		fail "mkntfs: $(cat "$tmp/mkfs")"
	for file in letter empty zeros directory/large directory/deep/larger directory/deep/file-59; do
		ntfscp -q "$tmp/disk.raw" "$work/files/$file" "$(basename "$file")" >"$tmp/ntfscp" 2>&1
		assertTrue "ntfscp: $(cat "$tmp/ntfscp")" $?
	done
	round "$tmp/disk.raw"
	checked ntfsfix -n "$tmp/back.raw"
	ntfscat "$tmp/back.raw" larger >"$tmp/larger"
	assertSameFile "$work/files/directory/deep/larger" "$tmp/larger"
}

testXfs() {
	need_tool mkfs.xfs xfs_repair xfs_db || return 0
	truncate -s 320M "$tmp/disk.raw"
	cat >"$tmp/proto" <<END
/dev/null
0 0
d--755 0 0
letter ---644 0 0 $work/files/letter
zeros ---644 0 0 $work/files/zeros
directory d--755 0 0
large ---600 1 1 $work/files/directory/large
deep d--755 0 0
larger ---644 0 0 $work/files/directory/deep/larger
small ---644 0 0 $work/files/directory/deep/file-5
$
$
$
END
	mkfs.xfs -q -f -L guest -p "$tmp/proto" "$tmp/disk.raw" >"$tmp/mkfs" 2>&1 ||
		fail "mkfs.xfs: $(cat "$tmp/mkfs")"
	round "$tmp/disk.raw"
	checked xfs_repair -n -f "$tmp/back.raw"
}

# partition FILE NUMBER: its first byte, and its length, in $at and $length.
partition() {
	at=$(sfdisk -J "$1" | jq ".partitiontable.partitions[$2 - 1].start * 512")
	length=$(sfdisk -J "$1" | jq ".partitiontable.partitions[$2 - 1].size * 512")
}

partitioned() {
	need_tool sfdisk mkfs.ext4 e2fsck mkfs.fat fsck.fat mcopy || return 0
	truncate -s 2G "$tmp/disk.raw"
	printf 'label: %s\nsize=24M, type=%s, bootable\nstart=1500M, size=40M\nsize=100M\n' "$1" "$2" |
		sfdisk -q "$tmp/disk.raw" >"$tmp/sfdisk" 2>&1 || fail "sfdisk: $(cat "$tmp/sfdisk")"
	truncate -s 24M "$tmp/fat"
	mkfs.fat -n BOOT "$tmp/fat" >"$tmp/mkfs" 2>&1
	mcopy -i "$tmp/fat" "$work/files/letter" "$work/files/directory/large" ::
	truncate -s 40M "$tmp/ext4"
	mkfs.ext4 -q -F -d "$work/files" "$tmp/ext4" >"$tmp/mkfs" 2>&1
	partition "$tmp/disk.raw" 1
	dd if="$tmp/fat" of="$tmp/disk.raw" bs=1M oflag=seek_bytes seek="$at" conv=notrunc,sparse status=none
	partition "$tmp/disk.raw" 2
	dd if="$tmp/ext4" of="$tmp/disk.raw" bs=1M oflag=seek_bytes seek="$at" conv=notrunc,sparse status=none

	converted "$tmp/disk.raw" "$tmp/disk.gow1"
	converted "$tmp/disk.gow1" "$tmp/disk.gow3"
	converted "$tmp/disk.gow3" "$tmp/disk.gow2"
	converted "$tmp/disk.gow2" "$tmp/back.raw"
	assertSameFile "$tmp/disk.raw" "$tmp/back.raw"
	# The nothing between is nothing there, too.
	taken=$(($(stat -c %b "$tmp/back.raw") * 512))
	assertTrue "$taken bytes taken" "[ $taken -lt 100000000 ]"

	sfdisk -d "$tmp/disk.raw" | sed 's/^device:.*//; s/[^ ]*raw//' >"$tmp/table"
	sfdisk -d "$tmp/back.raw" | sed 's/^device:.*//; s/[^ ]*raw//' >"$tmp/back-table"
	assertSameFile "$tmp/table" "$tmp/back-table"
	checked sfdisk --verify "$tmp/back.raw"
	partition "$tmp/back.raw" 1
	dd if="$tmp/back.raw" of="$tmp/back-fat" bs=64K iflag=skip_bytes,count_bytes skip="$at" \
		count="$length" status=none
	checked fsck.fat -n "$tmp/back-fat"
	assertSameFile "$tmp/fat" "$tmp/back-fat"
	partition "$tmp/back.raw" 2
	dd if="$tmp/back.raw" of="$tmp/back-ext4" bs=64K iflag=skip_bytes,count_bytes skip="$at" \
		count="$length" status=none
	checked e2fsck -fn "$tmp/back-ext4"
	assertSameFile "$tmp/ext4" "$tmp/back-ext4"
}

testPartitionedDos() {
	partitioned dos c
}

testPartitionedGpt() {
	partitioned gpt U
}

# Disks that machines boot from; they begin on no block's border and end on none.
testBootableDisks() {
	found=''
	for disk in /usr/lib/grub-rescue/grub-rescue-floppy.img \
		/usr/lib/grub-rescue/grub-rescue-cdrom.iso /usr/lib/grub-rescue/grub-rescue-usb.img; do
		[ -f "$disk" ] || continue
		found=1
		rm -f "$tmp"/*.gow* "$tmp"/*.raw
		# A copy: QEMU does not read what another test's gow-convert reads.
		cp "$disk" "$tmp/disk.raw"
		round "$tmp/disk.raw"
		# What a BIOS looks at first.
		case $disk in
		*.img) assertEquals 55aa "$(od -An -tx1 -j 510 -N 2 "$tmp/back.raw" | tr -d ' ')" ;;
		*.iso) assertEquals CD001 "$(dd if="$tmp/back.raw" bs=1 skip=32769 count=5 status=none)" ;;
		esac
	done
	[ -n "$found" ] || skip "needs grub-rescue-pc"
}

# It is not only for us that it is the same: QEMU makes of it what it makes of the first.
testThroughQemu() {
	need_tool qemu-img mkfs.ext4 e2fsck || return 0
	truncate -s 50M "$tmp/disk.raw"
	mkfs.ext4 -q -F -d "$work/files" "$tmp/disk.raw" >"$tmp/mkfs" 2>&1
	qemu-img convert -f raw -O qcow2 "$tmp/disk.raw" "$tmp/disk.qcow2"
	qemu-img convert -f qcow2 -O raw "$tmp/disk.qcow2" "$tmp/from-qemu.raw"
	converted "$tmp/from-qemu.raw" "$tmp/disk.gow"
	converted "$tmp/disk.gow" "$tmp/back.raw"
	qemu-img compare -q -f qcow2 -F raw "$tmp/disk.qcow2" "$tmp/back.raw"
	assertTrue "qemu-img sees a difference" $?
	checked e2fsck -fn "$tmp/back.raw"
}

# A guest that works on its disk: the image is unmounted, and the file system is sound.
testMountedAndUsed() {
	need_root || return 0
	need_tool mkfs.ext4 e2fsck || return 0
	truncate -s 64M "$tmp/disk.raw"
	mkfs.ext4 -q -F "$tmp/disk.raw" >"$tmp/mkfs" 2>&1
	mount_file "$tmp/disk.raw" || return 0
	cp -a "$work/files" "$mnt/"
	rm "$mnt/files/directory/large" "$mnt/files/letter"
	echo "another letter" >"$mnt/letter"
	truncate -s 10M "$mnt/hole"
	# Unmounts, as the end of the test would.
	gow_run_ends "$gow_ends"
	gow_ends=''
	round "$tmp/disk.raw"
	checked e2fsck -fn "$tmp/back.raw"
	mount_file "$tmp/back.raw" -r
	assertSameFile "$work/files/directory/deep/larger" "$mnt/files/directory/deep/larger"
	assertEquals "another letter" "$(cat "$mnt/letter")"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
