#!/bin/sh
# What stands on the nbdkit plugin: copies of a master that is never changed, libvirt's hook, the
# systemd unit; and images on web servers of several kinds.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
# shellcheck source=servers.sh
. "$(dirname "$0")/servers.sh"

plugin=$BUILD/plugin/nbdkit-gow-plugin.so
[ -z "${SANITIZE:-}" ] || skip_suite "nbdkit is not built with the sanitizers"
[ -f "$plugin" ] || skip_suite "the plugin was not built (no nbdkit headers)"

suiteSetUp() {
	printf 'version 1\nsize 4M\nmap 0-15 0\ndata 0-15 pattern 3\n' >"$work/recipe"
	make_image "$work/recipe" "$work/gold.gow"
	make_raw "$work/recipe" "$work/gold.raw"
}

# ---- copies of a master ----

# write_and_read URI BYTE: another disk than the master's, for this client alone.
write_and_read() {
	qemu-io -f "${3:-raw}" -c "write -P $2 1M 64k" -c "write -P $2 0 4k" -c "read -P $2 1M 64k" \
		-c "read -P $2 0 4k" "$1" >"$tmp/io.$2" 2>&1
	assertTrue "$(cat "$tmp/io.$2")" $?
}

testManyCopiesBelowCow() {
	need_tool nbdkit qemu-io || return 0
	state_of "$work/gold.gow"
	cp "$work/gold.gow" "$tmp/same"
	for number in 1 2 3; do
		rm -f "$tmp/s"
		serve_nbd --filter=cow "$plugin" "file=$work/gold.gow" read-only=true
		mv "$tmp/s" "$tmp/s$number"
	done
	for number in 1 2 3; do
		write_and_read "nbd+unix:///?socket=$tmp/s$number" $number
	done
	for number in 1 2 3; do
		qemu-io -f raw -c "read -P $number 1M 64k" "nbd+unix:///?socket=$tmp/s$number" >"$tmp/io" 2>&1
		assertTrue "copy $number is not its client's own: $(cat "$tmp/io")" $?
	done
	assertUnchanged "$work/gold.gow"
	assertSameFile "$tmp/same" "$work/gold.gow"
}

testQcow2Overlay() {
	need_tool nbdkit qemu-io qemu-img || return 0
	state_of "$work/gold.gow"
	serve_nbd -r "$plugin" "$work/gold.gow"
	qemu-img create -q -f qcow2 -F raw -b "$uri" "$tmp/mine.qcow2"
	assertTrue "qemu-img create" $?
	write_and_read "$tmp/mine.qcow2" 5 qcow2
	qemu-img compare -f raw -F raw "$work/gold.raw" "$uri" >"$tmp/io" 2>&1
	assertTrue "$(cat "$tmp/io")" $?
	assertUnchanged "$work/gold.gow"
}

testCowOverHttp() {
	need_tool nbdkit qemu-io nginx python3 || return 0
	state_of "$work/gold.gow"
	serve_nginx "$work"
	serve_nbd --filter=cow "$plugin" "$url/gold.gow"
	write_and_read "$uri" 6
	assertUnchanged "$work/gold.gow"
}

testLayoutParameter() {
	need_tool nbdkit nbdcopy || return 0
	nbdkit -r -U - "$plugin" "$work/gold.gow" layout=gow1 --run "nbdcopy \"\$uri\" '$tmp/x.raw'"
	assertTrue "with its layout" $?
	assertSameFile "$work/gold.raw" "$tmp/x.raw"
	nbdkit -r -U "$tmp/refused" "$plugin" "$work/gold.gow" layout=gow2 --run true >"$tmp/said" 2>&1
	assertFalse "with another layout" $?
	nbdkit -r -U "$tmp/refused" "$plugin" "$work/gold.gow" layout=nonesuch --run true >"$tmp/said" 2>&1
	assertTrue "$(cat "$tmp/said")" "grep -q 'no layout' $tmp/said"
}

# ---- web servers ----

testLighttpd() {
	need_tool lighttpd python3 || return 0
	port=$(free_port)
	cat >"$tmp/conf" <<END
server.document-root = "$work"
server.bind = "127.0.0.1"
server.port = $port
END
	start_server lighttpd -D -f "$tmp/conf"
	wait_for_port "$port"
	run gow-check --data "http://127.0.0.1:$port/gold.gow"
	assertStatus 0
}

testBusyboxHttpd() {
	need_tool busybox python3 || return 0
	busybox --list 2>/dev/null | grep -qx httpd || { skip "busybox without httpd"; return 0; }
	port=$(free_port)
	start_server busybox httpd -f -p "127.0.0.1:$port" -h "$work"
	wait_for_port "$port"
	run gow-convert "http://127.0.0.1:$port/gold.gow" "$tmp/x.raw"
	assertStatus 0
	assertSameFile "$work/gold.raw" "$tmp/x.raw"
}

testQemuStorageDaemon() {
	need_tool qemu-storage-daemon || return 0
	start_server qemu-storage-daemon --blockdev "file,node-name=f,filename=$work/gold.gow,read-only=on" \
		--nbd-server "addr.type=unix,addr.path=$tmp/q" --export nbd,id=e,node-name=f,name=gold
	for _ in $(seq 600); do
		[ ! -S "$tmp/q" ] || break
		sleep 0.1
	done
	run gow-convert "nbd+unix:///gold?socket=$tmp/q" "$tmp/x.raw"
	assertStatus 0
	assertSameFile "$work/gold.raw" "$tmp/x.raw"
	run gow-check "nbd+unix:///other?socket=$tmp/q"
	assertStatus 8
}

# ---- libvirt ----

# hook GUEST OPERATION/PART IMAGE: $status, $err.
hook() {
	sed "s|<name>.*</name>|<name>$1</name>|; s|/srv/guests/win4lin.gow|$3|" \
		"$top/contrib/libvirt/gow-guest.xml" >"$tmp/guest.xml"
	GOW_RUN=$tmp/run GOW_CHECK=$GOW_BIN/gow-check GOW_PLUGIN=$plugin GOW_USER=root \
		"$top/contrib/libvirt/qemu" "$1" "${2%/*}" "${2#*/}" - <"$tmp/guest.xml" >"$out" 2>"$err"
	status=$?
	gow_command="hook $*"
}

testHookServesAGuest() {
	need_tool nbdkit nbdcopy || return 0
	cp "$work/gold.gow" "$tmp/a & b.gow"
	hook guest1 prepare/begin "$tmp/a \\&amp; b.gow"
	assertStatus 0
	at_end "kill \$(cat $tmp/run/guest1.pid 2>/dev/null) 2>/dev/null; true"
	assertTrue "$(nbdcopy "nbd+unix:///?socket=$tmp/run/guest1.sock" "$tmp/x.raw" 2>&1)" $?
	assertSameFile "$work/gold.raw" "$tmp/x.raw"
	hook guest1 start/begin "$tmp/a \\&amp; b.gow"
	assertStatus 0
	hook guest2 prepare/begin "$tmp/a \\&amp; b.gow"
	assertStatus 1
	assertErr 'guest2.*in use'
	hook guest1 release/end "$tmp/a \\&amp; b.gow"
	assertStatus 0
	assertFalse "the socket is left" "[ -e $tmp/run/guest1.sock ]"
	run gow-compact "$tmp/a & b.gow"
	assertStatus 0
}

testHookRefuses() {
	need_tool nbdkit || return 0
	make_image map-crosslink-v3 "$tmp/bad.gow"
	hook guest prepare/begin "$tmp/bad.gow"
	assertStatus 1
	assertErr 'corrupt.*gow-repair'
	hook guest prepare/begin "$tmp/none.gow"
	assertStatus 1
	assertErr 'none.gow'
	hook guest prepare/begin none.gow
	assertStatus 1
	assertErr 'absolute'
	hook ../guest prepare/begin "$work/gold.gow"
	assertStatus 1
	"$top/contrib/libvirt/qemu" other prepare begin - >"$out" 2>"$err" <<END
<domain><name>other</name></domain>
END
	assertEquals "a guest without an image" 0 $?
	assertErrEmpty
}

# hook_of XML: what the hook says of a guest whose image is not there, with and without xmllint.
hook_of() {
	for path in "$PATH" "$tmp/bin"; do
		PATH=$path GOW_RUN=$tmp/run GOW_CHECK=$GOW_BIN/gow-check GOW_PLUGIN=$plugin \
			"$top/contrib/libvirt/qemu" guest prepare begin - <"$1" 2>&1
		echo "status $?"
	done >"$out"
}

testHookReadsMetadata() {
	need_tool xmllint || return 0
	mkdir "$tmp/bin"
	for command in sh cat tr sed; do
		ln -s "$(command -v $command)" "$tmp/bin/"
	done
	before='<domain><name>guest</name><metadata>'
	after='</metadata></domain>'
	space=https://gow-tools.example/libvirt/1
	printf '%s\n' "$before" "<!-- <gow:image xmlns:gow='$space'>/old.gow</gow:image> -->" \
		"<gow:image xmlns:gow='$space'>$tmp/a &amp; &lt;b.gow</gow:image>" \
		"<!-- - <gow:image xmlns:gow='$space'>/new.gow</gow:image> -->" "$after" >"$tmp/xml"
	hook_of "$tmp/xml"
	assertEquals "$(cat "$out")" 2 "$(grep -c "a & <b.gow: cannot open" "$out")"
	assertEquals "$(cat "$out")" 2 "$(grep -cx 'status 1' "$out")"
	printf '%s\n' "$before" "<g:image xmlns:g='$space'>$tmp/a.gow</g:image>$after" >"$tmp/xml"
	hook_of "$tmp/xml"
	assertOut 'a.gow: cannot open'
	assertOut 'xmllint is needed'
	assertEquals "$(cat "$out")" 2 "$(grep -cx 'status 1' "$out")"
	printf '%s\n' "$before" "<g:image xmlns:g='https://other.example/'>/a.gow</g:image>$after" \
		>"$tmp/xml"
	hook_of "$tmp/xml"
	assertEquals "$(cat "$out")" 2 "$(grep -cx 'status 0' "$out")"
}

# in_libvirt: what runs in a namespace with a libvirtd of its own, whose directories are $tmp's: a guest
# is started, looked at and ended; then one from a corrupt image.
in_libvirt() {
	cat <<END
set -u
mount -t tmpfs tmpfs /run
mkdir /run/libvirt $tmp/etc $tmp/etc/hooks
for directory in /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
	[ ! -d \$directory ] || mount -t tmpfs tmpfs \$directory
done
mount --bind $tmp/etc /etc/libvirt || exit 1
echo 'auth_unix_rw = "none"' >/etc/libvirt/libvirtd.conf
cat >/etc/libvirt/qemu.conf <<CONF
user = "root"
group = "root"
security_driver = "none"
remember_owner = 0
stdio_handler = "file"
cgroup_controllers = [ ]
namespaces = [ ]
CONF
cat >/etc/libvirt/hooks/qemu <<HOOK
#!/bin/sh
GOW_RUN=$tmp/run GOW_CHECK=$GOW_BIN/gow-check GOW_PLUGIN=$plugin GOW_USER=root
export GOW_RUN GOW_CHECK GOW_PLUGIN GOW_USER
exec $top/contrib/libvirt/qemu "\\\$@"
HOOK
chmod +x /etc/libvirt/hooks/qemu
libvirtd 2>$tmp/libvirtd.log &
for _ in \$(seq 600); do
	[ ! -S /run/libvirt/libvirt-sock ] || break
	sleep 0.1
done
virsh -q -c qemu:///system create $tmp/good.xml || cat /var/log/libvirt/qemu/*.log
virsh -q -c qemu:///system list --name
qemu-img compare -f raw -F raw $work/gold.raw "nbd+unix:///?socket=$tmp/run/win4lin.sock" 2>&1
virsh -q -c qemu:///system destroy win4lin
ls $tmp/run
virsh -q -c qemu:///system create $tmp/bad.xml
echo "refused \$?"
END
}

# A real libvirtd runs the hook. It is not among the packages that are installed for the tests, and
# takes seconds: this is for whoever changes the hook.
testHookInLibvirt() {
	need_root || return 0
	need_tool libvirtd virsh qemu-system-x86_64 qemu-img unshare || return 0
	cp "$work/gold.gow" "$tmp/good.gow"
	make_image map-crosslink-v3 "$tmp/bad.gow"
	for image in good bad; do
		sed "s|type=\"kvm\"|type=\"qemu\"|; s|>1024<|>64<|; s|/srv/guests/win4lin.gow|$tmp/$image.gow|
			s|/run/gow/|$tmp/run/|" "$top/contrib/libvirt/gow-guest.xml" >"$tmp/$image.xml"
	done
	in_libvirt >"$tmp/inside"
	timeout 60 unshare --mount --pid --fork --kill-child --mount-proc sh "$tmp/inside" \
		>"$tmp/said" 2>&1
	assertEquals "$(cat "$tmp/said" "$tmp/libvirtd.log")" 0 $?
	assertTrue "$(cat "$tmp/said")" "grep -qx win4lin $tmp/said"
	assertTrue "$(cat "$tmp/said")" "grep -q 'Images are identical' $tmp/said"
	assertTrue "$(cat "$tmp/said")" "grep -q 'refused 1' $tmp/said"
	assertTrue "libvirt does not say why: $(cat "$tmp/said")" "grep -q 'corrupt.*gow-repair' $tmp/said"
	assertFalse "the socket is left: $(cat "$tmp/said")" "grep -q 'sock$' $tmp/said"
}

testDomainIsValid() {
	need_tool virt-xml-validate || return 0
	virt-xml-validate "$top/contrib/libvirt/gow-guest.xml" domain >"$tmp/said" 2>&1
	assertTrue "$(cat "$tmp/said")" $?
}

testSystemdUnit() {
	need_tool systemd-analyze || return 0
	sed "s|/usr/bin/gow-check|$GOW_BIN/gow-check|; s|/usr/bin/nbdkit|/bin/true|; /^Documentation/d" \
		"$top/contrib/systemd/nbdkit-gow@.service" >"$tmp/nbdkit-gow@srv-a.gow.service"
	systemd-analyze verify "$tmp/nbdkit-gow@srv-a.gow.service" >"$tmp/said" 2>&1
	assertNull "$(grep "nbdkit-gow@" "$tmp/said")"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
