# shellcheck shell=sh
# What the suites of the tools that change an image in place share; read after functions.sh.
# What comes of it is read by `guest`, which shares no code with the tools.
#
#	take_copy IMAGE COPY
#	header FILE
#		what `guest --header` prints, on one line
#	assertGuest IMAGE DISK
#		the guest sees that disk, and nothing is unsound

# shellcheck disable=SC2154 # $tmp is functions.sh's

take_copy() {
	cp --sparse=always "$1" "$2"
}

header() {
	"$GOW_TESTBIN/guest" --header "$1" 2>&1 | tr '\n' ' '
}

assertGuest() {
	"$GOW_TESTBIN/guest" "$1" "$tmp/guest.raw" >"$tmp/guest.err" 2>&1
	assertEquals "$1: $(cat "$tmp/guest.err")" 0 $?
	assertSameFile "$2" "$tmp/guest.raw"
	rm -f "$tmp/guest.raw"
}
