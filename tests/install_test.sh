#!/bin/sh
# What `make install` puts where, that a stranger's program builds with it, and
# that `make uninstall` takes it all away again.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

# The build under test says how it was made: a sanitized library wants its
# programs sanitized by the same compiler.
setting() {
	sed -n "s/^$1=//p" "$BUILD/flags"
}

suiteSetUp() {
	cc=$(setting CC)
	sanitize=$(setting SANITIZE)
	sanitize=${sanitize:+-fsanitize=$sanitize}
	version=$(setting VERSION)
	dest=$work/dest
	usr=$dest/opt/gow
	tools=$(cd "$GOW_BIN" && ls -d gow-*)
	make_only install-only >"$work/log" 2>&1 || cat "$work/log"
	# What gow.pc says is relative to DESTDIR here.
	PKG_CONFIG_SYSROOT_DIR=$dest
	PKG_CONFIG_PATH=$usr/lib/pkgconfig
	export PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_PATH
}

# With neither the flags nor the job server of a make that runs this test.
# install-only builds nothing, so other suites keep the tools they run.
make_only() {
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u MAKEOVERRIDES make -s -C "$top" BUILD="$BUILD" \
		DESTDIR="$dest" PREFIX=/opt/gow "$@"
}

# The public functions, as the header declares them.
declared() {
	gcc -E -P "$top/lib/gow.h" | grep -o '\<gow_[a-z0-9_]*(' | tr -d '(' | sort -u
}

testTree() {
	{
		for tool in $tools; do
			echo "bin/$tool"
			echo "share/bash-completion/completions/$tool"
			echo "share/fish/vendor_completions.d/$tool.fish"
			echo "share/man/man1/$tool.1"
		done
		echo share/man/man1/nbdkit-gow-plugin.1
		for page in "$top"/man/*.[2-9] "$BUILD"/man/*.[1-9]; do
			[ -f "$page" ] && echo "share/man/man${page##*.}/${page##*/}"
		done
		echo include/gow.h
		echo lib/libgow.a
		echo lib/libgow.so
		echo lib/libgow.so.1
		echo "lib/libgow.so.$version"
		echo lib/pkgconfig/gow.pc
		echo lib/gow/gow-http.so
		echo lib/gow/gow-nbd.so
		echo lib/nbdkit/plugins/nbdkit-gow-plugin.so
		echo share/zsh/site-functions/_gow
	} | sort -u >"$tmp/expected"
	(cd "$usr" && find . ! -type d | sed 's|^\./||' | sort) >"$tmp/found"
	diff "$tmp/expected" "$tmp/found"
	assertTrue 'another tree' $?
	assertEquals 'something outside the prefix' '' \
		"$(find "$dest" ! -type d ! -path "$usr/*")"
}

testModes() {
	assertEquals 'tools: mode' '' "$(find "$usr/bin" -type f ! -perm 755)"
	assertEquals 'the rest: mode' '' "$(find "$usr/include" "$usr/share" "$usr/lib" -type f ! -perm 644)"
	assertEquals "libgow.so.$version" "$(readlink "$usr/lib/libgow.so.1")"
	assertEquals libgow.so.1 "$(readlink "$usr/lib/libgow.so")"
}

testNothingOfThisMachine() {
	assertEquals 'names the directory it was built in' '' \
		"$(grep -rlF -e "$top/" -e "$dest" "$usr/share" "$usr/include" "$usr/lib/pkgconfig")"
	assertEquals 'a place is left unfilled' '' \
		"$(grep -rlE '@[A-Za-z]+@' "$usr/share" "$usr/lib/pkgconfig")"
}

testInstalledToolRuns() {
	for tool in $tools; do
		run "$usr/bin/$tool" --version
		assertStatus 0
		assertOut "$version"
	done
}

testSoname() {
	assertEquals libgow.so.1 \
		"$(objdump -p "$usr/lib/libgow.so.1" | sed -n 's/^ *SONAME *//p')"
}

testExportedSymbols() {
	nm -D --defined-only --without-symbol-versions "$usr/lib/libgow.so.1" |
		awk '$2 != "A" { print $3 }' | sort >"$tmp/exported"
	assertEquals 'not ours' '' "$(grep -v '^gow_' "$tmp/exported")"
	declared >"$tmp/declared"
	assertTrue 'the header declares nothing' "[ -s '$tmp/declared' ]"
	diff "$tmp/declared" "$tmp/exported"
	assertTrue 'what the library exports is not what gow.h declares' $?
}

testHeaderAlone() {
	printf '#include <gow.h>\n#include <gow.h>\nint main(void) { return 0; }\n' >"$tmp/header.c"
	cp "$tmp/header.c" "$tmp/header.cc"
	run gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$usr/include" -o "$tmp/header" "$tmp/header.c"
	assertStatus 0
	need_tool g++ || return 0
	run g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -I"$usr/include" -o "$tmp/header" "$tmp/header.cc"
	assertStatus 0
}

# A stranger's program, which knows gow.h and pkg-config only.
make_program() {
	cat >"$tmp/program.c" <<'END'
#include <gow.h>
#include <stdio.h>
int main(void)
{
	return printf("%s %llu\n", gow_version(), (unsigned long long)gow_version_limit(1)) < 0;
}
END
	# shellcheck disable=SC2046,SC2086 # lists of flags
	run $cc -std=c11 $sanitize $(pkg-config --cflags gow) -o "$tmp/program" "$tmp/program.c" "$@"
	assertStatus 0
}

testPkgConfig() {
	run pkg-config --modversion gow
	assertOut "^$version\$"
	run pkg-config --variable=libdir gow
	assertOut '/opt/gow/lib$'
}

testSharedProgram() {
	# shellcheck disable=SC2046 # a list of flags
	make_program $(pkg-config --libs gow)
	run env LD_LIBRARY_PATH="$usr/lib" "$tmp/program"
	assertStatus 0
	assertOut "^$version 68719476736\$"
	# Without its directory it cannot start: it is the shared one that was linked.
	run env -u LD_LIBRARY_PATH "$tmp/program"
	assertStatus 127
}

# A program of yesterday: its structs end where nobody had thought of the rest.
# What it does not know is not read, and not written. One of tomorrow has a
# member more: nobody minds while it is zero, and it is told when it is not.
make_old_program() {
	cat >"$tmp/program.c" <<'END'
#include <gow.h>
#include <stdio.h>
#include <string.h>

struct old_create { size_t struct_size; gow_common common; };
struct old_info { size_t struct_size; unsigned version; uint64_t logical_size; };
struct new_create { gow_create_options known; uint64_t more; };

int main(int argc, char **argv)
{
	struct { struct old_create options; unsigned char other[256]; } create;
	struct { struct old_info info; unsigned char other[256]; } told;
	struct new_create newer = { .known = { .struct_size = sizeof newer, .version = 1 } };
	gow_create_options unset = { .version = 1 };
	gow_check *check = NULL;
	gow_error error;
	int wrong = argc != 4;

	memset(&create, 0xff, sizeof create);
	memset(&create.options, 0, sizeof create.options);
	create.options.struct_size = sizeof create.options;
	wrong |= gow_create(argv[1], 1 << 20, (const gow_create_options *)&create.options, &error);
	memset(&told, 0xff, sizeof told);
	told.info.struct_size = sizeof told.info;
	wrong |= gow_check_open(argv[1], NULL, &check, &error);
	wrong |= gow_check_info(check, (gow_info *)&told.info, &error);
	gow_check_close(check);
	for (size_t i = 0; i < sizeof told.other; i++)
		wrong |= told.other[i] != 0xff;
	wrong |= told.info.struct_size != sizeof told.info;
	wrong |= told.info.version != 3 || told.info.logical_size != 1 << 20;
	wrong |= gow_create(argv[2], 1 << 20, &newer.known, &error);
	newer.more = 1;
	wrong |= gow_create(argv[3], 1 << 20, &newer.known, &error) != GOW_ERR_UNSUPPORTED;
	wrong |= gow_create(argv[3], 1 << 20, &unset, &error) != GOW_ERR_ARGUMENT;
	return wrong;
}
END
	# shellcheck disable=SC2046,SC2086 # lists of flags
	run $cc -std=c11 -Wno-array-bounds $sanitize $(pkg-config --cflags gow) -o "$tmp/program" \
		"$tmp/program.c" $(pkg-config --libs gow)
	assertStatus 0
}

testProgramsOfOtherTimes() {
	make_old_program
	run env LD_LIBRARY_PATH="$usr/lib" "$tmp/program" "$tmp/a.gow" "$tmp/b.gow" "$tmp/c.gow"
	assertStatus 0
	assertTrue 'made nothing' "[ -f '$tmp/a.gow' ] && [ -f '$tmp/b.gow' ]"
	assertFalse 'made what was refused' "[ -e '$tmp/c.gow' ]"
}

# Against libgow.a, and everything else as the system has it: Debian has no
# static libraries for all of what is below.
testStaticProgram() {
	# shellcheck disable=SC2046 # a list of flags
	make_program $(pkg-config --libs --static gow |
		sed 's/-lgow\>/-Wl,-Bstatic -lgow -Wl,-Bdynamic/')
	run env -u LD_LIBRARY_PATH "$tmp/program"
	assertStatus 0
	assertOut "^$version 68719476736\$"
}

testUninstall() {
	dest=$tmp/dest usr=$dest/opt/gow
	make_only install-only >"$tmp/log" 2>&1
	assertTrue "$(cat "$tmp/log")" $?
	: >"$usr/bin/gow-of-somebody-else"
	make_only uninstall >"$tmp/log" 2>&1
	assertTrue "$(cat "$tmp/log")" $?
	assertEquals "$usr/bin/gow-of-somebody-else" "$(find "$dest" ! -type d)"
	dest=$work/dest usr=$dest/opt/gow
}

# shellcheck source=/dev/null
. "$SHUNIT2"
