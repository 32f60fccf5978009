#!/usr/bin/env bash
# Downloads the upstream tarball of a Debian or Ubuntu source package and prints its path, in a new folder.
# Usage: deps/apt-source.sh PACKAGE [VERSION]: that upstream version from this release or a newer one of the
# distribution; without VERSION what this release has. Works without root and changes nothing of the machine's apt:
# its state is a folder of ours, its source list is made from the machine's own.

# shellcheck source=deps/lib.sh
. "$(dirname "$0")/lib.sh"

package=${1:?usage: deps/apt-source.sh PACKAGE [VERSION]}
version=${2:-}
etc=${NANO_APT_ETC:-/etc/apt}
state=$build/apt
options=(
	-qq -o "Dir::State=$state" -o "Dir::State::status=$state/status" -o "Dir::Cache=$state/cache"
	-o "Dir::Etc::sourcelist=$state/sources.list" -o "Dir::Etc::sourceparts=$state/sources.list.d"
	-o Acquire::Languages=none -o Acquire::IndexTargets::deb-src::DEP-11::DefaultEnabled=false
	-o Acquire::http::Timeout=20 -o Acquire::Retries=1 -o APT::Sandbox::User=
	-o Acquire::Check-Valid-Until=false
)

main() {
	command -v apt-get >/dev/null || exit 1
	refresh
	local chosen dir
	chosen=$(choose)
	[ -n "$chosen" ] || exit 1
	dir=$(mktemp -d "$cache/source.XXXXXX")
	if ! (cd "$dir" && apt-get "${options[@]}" source --download-only --tar-only "$package=$chosen") >"$state/log" 2>&1; then
		tail -n 3 "$state/log" >&2
		rm -rf "$dir"
		exit 1
	fi
	ls "$dir/$package"_*.orig.tar.?z
}

# choose: the newest full version of the package whose upstream part is the one asked for. Without one, the newest of
# the first release in the list that has any: this machine's own (apt-cache lists in the order of the sources).
choose() {
	apt-cache "${options[@]}" showsrc --only-source "$package" 2>/dev/null | awk -v want="$version" '
		$1 == "Version:" {
			upstream = $2; sub(/^[0-9]+:/, "", upstream); sub(/-[^-]*$/, "", upstream)
			if (upstream == want || (want == "" && chosen == "")) chosen = $2
		}
		END { print chosen }'
}

# refresh: the lists of sources, at most once an hour. A suite that a mirror does not have is no failure.
refresh() {
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/sources.list.d" "$cache"
	touch "$state/status"
	find "$state/fresh" -mmin +60 -delete 2>/dev/null || true
	# The two kinds of question have a list each: what is newer than this release is of no use to the second.
	if [ "$(cat "$state/fresh" 2>/dev/null)" != "${version:+newer}" ]; then
		derive_lists
		apt-get "${options[@]}" update >"$state/log" 2>&1 || true
		printf '%s\n' "${version:+newer}" >"$state/fresh"
	fi
}

# newer_releases: this release's code name and, if a version is asked for, those after it, oldest first.
newer_releases() {
	local id codename names
	# shellcheck source=/dev/null
	. "${NANO_OS_RELEASE:-/etc/os-release}"
	id=${ID:-} codename=${VERSION_CODENAME:-sid}
	case $id in
	debian) names="bullseye bookworm trixie forky sid" ;;
	ubuntu) names="jammy noble questing resolute devel" ;;
	*) names=$codename ;;
	esac
	case " $names " in
	*" $codename "*) ;;
	*) names="$codename $names" ;;
	esac
	if [ -n "$version" ]; then echo "$codename${names#*"$codename"}"; else echo "$codename"; fi
}

# derive_lists: for each source of the machine that serves this release, the same mirror's sources (deb-src) of the
# same suite and of the newer releases' suites. Both of apt's formats, one line an entry and deb822.
derive_lists() {
	local names file
	names=$(newer_releases)
	: >"$state/sources.list"
	rm -f "$state"/sources.list.d/*
	for file in "$etc/sources.list" "$etc"/sources.list.d/*.list; do
		[ ! -f "$file" ] || one_line "$names" <"$file" >>"$state/sources.list"
	done
	for file in "$etc"/sources.list.d/*.sources; do
		[ ! -f "$file" ] || deb822 "$names" <"$file" >"$state/sources.list.d/${file##*/}"
	done
}

# What both need: suites(suite), a suite's counterparts in this and the newer releases, or nothing when the suite is not this
# release's. "bookworm-security" with "bookworm trixie sid" gives "bookworm-security trixie-security" (sid has one suite only).
# The awk text is single quoted: it reads no shell variable.
suites_awk='
	function suites(suite,   base, rest, list, n, i, out) {
		base = suite; sub(/[-\/].*/, "", base); rest = substr(suite, length(base) + 1)
		n = split(names, list, " ")
		if (base != list[1] && base !~ /^(stable|oldstable|testing|unstable)$/) return ""
		if (base != list[1]) return suite
		for (i = 1; i <= n; i++)
			if (rest == "" || list[i] != "sid") out = out (out == "" ? "" : " ") list[i] rest
		return out
	}'

one_line() {
	awk -v names="$1" "$suites_awk"'
		$1 != "deb" && $1 != "deb-src" { next }
		{
			line = $0; sub(/[ \t]*(#.*)?$/, "", line); options = ""
			sub(/^[^ \t]+[ \t]+/, "", line)
			if (match(line, /^\[[^]]*\][ \t]*/)) { options = substr(line, 1, RLENGTH); line = substr(line, RLENGTH + 1) }
			parts = split(line, word, /[ \t]+/)
			if (parts < 3) next
			components = ""
			for (i = 3; i <= parts; i++) components = components " " word[i]
			count = split(suites(word[2]), suite, " ")
			for (i = 1; i <= count; i++)
				if (!seen[options word[1] suite[i] components]++)
					print "deb-src " options word[1] " " suite[i] components
		}'
}

deb822() {
	awk -v names="$1" "$suites_awk"'
		function flush(   i) {
			if (usable) for (i = 1; i <= lines; i++) print stanza[i]
			if (usable) print ""
			lines = 0; usable = 0
		}
		/^[ \t]*$/ { flush(); next }
		/^#/ { next }
		tolower($1) == "types:" { stanza[++lines] = "Types: deb-src"; next }
		tolower($1) == "suites:" {
			list = ""
			for (i = 2; i <= NF; i++) if ((more = suites($i)) != "") list = list " " more
			if (list != "") usable = 1
			stanza[++lines] = "Suites:" list; next
		}
		{ stanza[++lines] = $0 }
		END { flush() }'
}

main
