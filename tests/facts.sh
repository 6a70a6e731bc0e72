# shellcheck shell=sh
# What is true of an image, told from its bytes and the format's description alone, with
# nothing but od and awk: what the tools say is compared with this.  A suite that needs
# it reads this file after functions.sh, which sets $work.
#
#	facts IMAGE >FACTS     one JSON document; 64-bit numbers that no float holds are text
#
#	version, logical_size (text), block_count, present_blocks, allocated_blocks,
#	leaked_blocks, file_size, data_start, fragmentation, highest_version (version 3)
#	                 as gow-info names them; null where the header is cut short
#	extents          [logical, physical, blocks, version] of entries that name a
#	                 present block
#	smallest         the smallest size in bytes that covers all of those
#	unmapped, shared, beyond
#	                 runs [first logical block, blocks]: entries inside the disk that name
#	                 no present block (where the header is cut, those that are gone, too);
#	                 entries that share a present block with others, wherever; entries
#	                 past the end of the disk

# facts_numbers FILE OFFSET COUNT: lines `index number`, where a number that stays the
# same is told once, and at last the count.  od tells a line that repeats by `*`.
facts_numbers() {
	[ "$3" -gt 0 ] || return 0
	od -Ad -t u4 -w1024 --endian=little -j "$2" -N $((4 * $3)) "$1" |
		awk -v base="$2" '
		function tell(at) {
			for (i = 1; i <= n; i++)
				if (line[i] != last) {
					printf "%.0f %s\n", at + i - 1, line[i]
					last = line[i]
				}
		}
		BEGIN { last = "" }
		$1 == "*" { again = 1; next }
		{
			index_now = ($1 - base) / 4
			# Only a line of different numbers has anything new when it repeats.
			if (again && mixed)
				for (at += n; at < index_now; at += n)
					tell(at)
			again = mixed = 0
			at = index_now
			n = NF - 1
			for (i = 1; i <= n; i++) {
				line[i] = $(i + 1)
				mixed = mixed || line[i] != line[1]
			}
			tell(at)
		}
		END { printf "%.0f\n", at }'
}

# facts_field WIDTH OFFSET FILE
facts_field() {
	# A file that ends before it has zeros there, as far as anybody knows.
	[ "$(stat -c %s "$3")" -ge $(($1 + $2)) ] || { echo 0; return; }
	od -An -t "u$1" --endian=little -j "$2" -N "$1" "$3" | tr -d ' \n'
}

facts() {
	facts_size=$(stat -c %s "$1")
	facts_version=$(facts_field 4 4 "$1")
	# map entries, version numbers at, header's end, block 0
	case $facts_version in
	1) set -- "$1" 1048576 0 4194324 4194324 ;;
	2) set -- "$1" 4194304 0 16777236 16777728 ;;
	3) set -- "$1" 4194304 16777236 33554452 33554944 ;;
	*) return 1 ;;
	esac
	facts_known=$2 facts_whole=1
	if [ "$facts_size" -lt "$4" ]; then
		facts_whole=0 facts_known=$(((facts_size - 20) / 4))
		[ "$facts_known" -ge 0 ] || facts_known=0
		[ "$facts_known" -le "$2" ] || facts_known=$2
	fi
	# shellcheck disable=SC2154 # functions.sh's
	facts_numbers "$1" 20 "$facts_known" >"$work/facts-map"
	: >"$work/facts-versions"
	[ "$3" -eq 0 ] || [ "$facts_whole" -eq 0 ] ||
		facts_numbers "$1" "$3" "$2" >"$work/facts-versions"
	awk -v version="$facts_version" -v size="$(facts_field 8 8 "$1")" \
		-v count="$(facts_field 4 16 "$1")" -v entries="$2" -v data_start="$5" \
		-v file_size="$facts_size" -v known="$facts_known" -v whole="$facts_whole" '
	function number(n) { return sprintf("%.0f", n) }
	function or_null(n) { return whole ? n : "null" }
	function least(a, b) { return a < b ? a : b }
	# Adds block to the runs of kind.
	function add(kind, first, blocks) {
		if (runs[kind] && first == ends[kind]) {
			ends[kind] = first + blocks
			return
		}
		close_run(kind)
		starts[kind] = first
		ends[kind] = first + blocks
		runs[kind]++
	}
	function close_run(kind) {
		if (runs[kind])
			list[kind] = list[kind] (list[kind] == "" ? "" : ",") \
				"[" number(starts[kind]) "," number(ends[kind] - starts[kind]) "]"
	}
	function close_extent() {
		if (extent_blocks)
			extents = extents (extents == "" ? "" : ",") "[" number(extent_l) "," \
				number(extent_p) "," number(extent_blocks) \
				(version == 3 && whole ? "," number(extent_v) : "") "]"
		extent_blocks = 0
	}
	function mapped(l, p) {
		L[allocated] = l
		P[allocated] = p
		if (allocated && L[allocated - 1] == l - 1) {
			pairs++
			broken += P[allocated - 1] != p - 1
		}
		allocated++
		if (p < present) {
			smallest = (l + 1) * 65536
			named += !owners[p]++
		}
	}
	BEGIN {
		present = file_size <= data_start ? 0 : int((file_size - data_start + 65535) / 65536)
		present = least(present, 4294967295)
		# A sum that goes past what a float holds is past every limit, too.
		blocks = int((size + 65535) / 65536)
		allocated = smallest = named = highest = pairs = broken = 0
	}
	FNR == 1 { part++; last = "" }
	{
		if (last != "" && part == 1 && last != 4294967295)
			for (i = at; i < $1; i++)
				mapped(i, last)
		if (last != "" && part == 2 && last > 0) {
			highest = last > highest ? last : highest
			for (i = at; i < $1; i++)
				V[i] = last
		}
		at = $1
		last = $2
	}
	END {
		for (i = 0; i < allocated; i++) {
			l = L[i]
			p = P[i]
			inside = l < blocks
			if (inside && p >= present)
				add("unmapped", l, 1)
			if (p < present && owners[p] > 1 && inside)
				add("shared", l, 1)
			if (!inside)
				add("beyond", l, 1)
			if (p >= present) {
				continue
			}
			if (!extent_blocks || l != extent_l + extent_blocks ||
			    p != extent_p + extent_blocks || V[l] + 0 != extent_v) {
				close_extent()
				extent_l = l
				extent_p = p
				extent_v = V[l] + 0
			}
			extent_blocks++
		}
		close_extent()
		if (!whole && known < blocks)
			add("unmapped", known, blocks - known)
		close_run("unmapped")
		close_run("shared")
		close_run("beyond")
		printf "{\"version\":%s,\"logical_size\":\"%s\",\"block_count\":%s,", version, \
			file_size < 20 ? "null" : size, file_size < 20 ? "null" : count
		printf "\"present_blocks\":%s,", number(present)
		printf "\"allocated_blocks\":%s,", or_null(number(allocated))
		printf "\"leaked_blocks\":%s,", or_null(number(present - named))
		printf "\"file_size\":%s,\"data_start\":%s,", file_size, data_start
		printf "\"fragmentation\":%s,", or_null(pairs ? sprintf("%.9f", broken / pairs) : 0)
		if (version == 3)
			printf "\"highest_version\":%s,", or_null(number(highest))
		printf "\"smallest\":%s,\"extents\":[%s],", number(smallest), extents
		printf "\"unmapped\":[%s],\"shared\":[%s],\"beyond\":[%s]}\n", \
			list["unmapped"], list["shared"], list["beyond"]
	}' "$work/facts-map" "$work/facts-versions"
}
