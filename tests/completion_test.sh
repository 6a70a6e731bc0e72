#!/bin/sh
# Every option of every tool, as the tool itself lists them, is in its man page
# and is offered by bash, zsh and fish.  What the shells offer is what they
# really answer, not what the scripts look like.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"

[ -z "${SANITIZE:-}" ] || skip_suite 'a sanitizer looks for nothing in the shells'

suiteSetUp() {
	PATH=$GOW_BIN:$PATH
	# fish and zsh want a home to keep things in, and not the user's.
	HOME=$work/home
	XDG_CONFIG_HOME=$HOME XDG_DATA_HOME=$HOME XDG_CACHE_HOME=$HOME
	export PATH HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME
	mkdir "$HOME" "$work/files"
	: >"$work/files/disk image.gow"
	tools=$(cd "$GOW_BIN" && ls -d gow-*)
	cat >"$work/ask.zsh" <<'END'
# Answers what zsh offers for the command line $3, by pressing Tab in a shell on
# a terminal of its own; $1 is the directory of the completion function _gow.
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1= PS2=; stty -echo; cd '$2'; fpath=('$1' \$fpath)"
zpty -w shell "autoload -Uz compinit && compinit -u -D"
# What would be offered is printed between two marks; the line is not changed.
zpty -w shell 'compadd() {
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
	local -a offered
	builtin compadd -A offered "$@"
	printf "<offer>%s</offer>\n" "${offered[@]}"
	builtin compadd "$@"
}'
zpty -w shell 'finished() { print -r -- "<done>" }; bindkey "^I" complete-word; comppostfuncs=(finished)'
zpty -w shell 'bindkey "^X" complete-word; zstyle ":completion:*" list-prompt ""; print -r -- "<"ready">"'
while zpty -r shell line && [[ $line != *"<ready>"* ]]; do done
zpty -w -n shell "$3"$'\t'
while zpty -r shell line && [[ $line != *"<done>"* ]]; do
	[[ $line == *"<offer>"* ]] && print -r -- "${${line#*<offer>}%</offer>*}"
done
zpty -d shell
END
}

options_of() {
	"$GOW_BIN/$1" --list-options | grep -e '^-' | sort
}

# What each shell offers for a command line, one a line.
ask_bash() {
	# shellcheck disable=SC2016 # expanded by the other shell
	(cd "$work/files" && bash --norc -c '
		. "$1"
		shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_gow_tools "$1" "${@: -1}" "${@: -2:1}"
		printf "%s\n" "${COMPREPLY[@]}"' bash "$BUILD/completion/gow.bash" "$@") | sort
}

ask_zsh() {
	mkdir -p "$tmp/functions"
	cp "$BUILD/completion/gow.zsh" "$tmp/functions/_gow"
	timeout 60 zsh -f "$work/ask.zsh" "$tmp/functions" "$work/files" "$1" | sort -u
}

ask_fish() {
	# shellcheck disable=SC2016 # expanded by the other shell
	(cd "$work/files" && fish --no-config -c 'source $argv[1]; complete -C $argv[2]' \
		"$BUILD/completion/gow.fish" "$1") | sort
}

testToolsListOptions() {
	assertNotNull "no tools" "$tools"
	for tool in $tools; do
		run "$tool" --list-options
		assertStatus 0
		assertOut '^--help$'
		assertOut '^--version$'
		assertOut '^--json$'
		assertNull "$tool: not an option" "$(grep -vxE -e '--[a-z0-9][a-z0-9-]+|-[A-Za-z0-9]' "$out")"
		assertNull "$tool: listed twice" "$(sort "$out" | uniq -d)"
	done
}

testManPages() {
	need_tool mandoc || return 0
	for tool in $tools; do
		# Bold and underlined are x, backspace, x.
		mandoc -T ascii "$top/man/$tool.1" | sed "s/.$(printf '\b')//g" >"$tmp/page"
		assertTrue "$tool has no man page" "[ -s '$tmp/page' ]"
		for option in $(options_of "$tool"); do
			grep -qE -e "(^|[^-[:alnum:]])$option([^-[:alnum:]]|\$)" "$tmp/page" ||
				fail "$tool: $option is not in its man page"
		done
	done
}

testBash() {
	need_tool bash || return 0
	for tool in $tools; do
		assertEquals "$tool" "$(options_of "$tool")" "$(ask_bash "$tool" -)"
		assertEquals "$tool, by its path" "$(options_of "$tool")" "$(ask_bash "$GOW_BIN/$tool" -)"
		assertEquals "$tool: files after --" '' "$(ask_bash "$tool" -- -)"
	done
	assertEquals --json "$(ask_bash gow-check --js)"
	# readline parts words at '='.
	assertEquals 'auto bar json never' "$(ask_bash gow-check --progress = '' | xargs)"
	assertEquals 'auto bar json never' "$(ask_bash gow-check --progress = | xargs)"
	assertEquals bar "$(ask_bash gow-check --progress = b)"
	assertEquals 'gow gow1 gow2 gow3' "$(ask_bash gow-convert -O g | xargs)"
	assertEquals '1 2 3' "$(ask_bash gow-create --image-version '' | xargs)"
	assertEquals '1 2 3' "$(ask_bash gow-repair --assume-version '' | xargs)"
	assertEquals 'files are left to readline' '' "$(ask_bash gow-check d)"
}

testZsh() {
	need_tool zsh || return 0
	if ! zsh -f -c 'zmodload zsh/zpty && zpty probe true' 2>/dev/null; then
		skip "no terminals to be had for zsh"
		return
	fi
	for tool in $tools; do
		assertEquals "$tool" "$(options_of "$tool")" "$(ask_zsh "$tool -")"
	done
	assertEquals 'auto bar json never' "$(ask_zsh 'gow-check --progress=' | xargs)"
	assertEquals 'auto bar json never' "$(ask_zsh 'gow-check --progress ' | xargs)"
	assertEquals 'gow gow1 gow2 gow3' "$(ask_zsh 'gow-convert -O g' | xargs)"
	assertEquals '1 2 3' "$(ask_zsh 'gow-create --image-version ' | xargs)"
	assertEquals '1 2 3' "$(ask_zsh 'gow-repair --assume-version ' | xargs)"
	assertEquals 'disk\ image.gow' "$(ask_zsh 'gow-check d')"
	assertEquals 'disk\ image.gow' "$(ask_zsh 'gow-check -- d')"
}

testFish() {
	need_tool fish || return 0
	for tool in $tools; do
		assertEquals "$tool" "$(options_of "$tool")" "$(ask_fish "$tool -")"
	done
	assertEquals '--progress=auto --progress=bar --progress=json --progress=never' \
		"$(ask_fish 'gow-check --progress=' | xargs)"
	assertEquals 'auto bar json never' "$(ask_fish 'gow-check --progress ' | xargs)"
	assertEquals 'gow gow1 gow2 gow3' "$(ask_fish 'gow-convert -O g' | xargs)"
	assertEquals '1 2 3' "$(ask_fish 'gow-create --image-version ' | xargs)"
	assertEquals '1 2 3' "$(ask_fish 'gow-repair --assume-version ' | xargs)"
	assertEquals 'disk image.gow' "$(ask_fish 'gow-check d')"
	assertEquals 'disk image.gow' "$(ask_fish 'gow-check -- d')"
}

# shellcheck source=/dev/null
. "$SHUNIT2"
