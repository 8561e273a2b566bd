//! What is run inside a workspace to get at its files: for any `sh` with the usual GNU programs.

use super::super::scripted;

/// What all scripts begin with. `place` sets `real` to where a path leads, or says that it leaves the root.
const PRELUDE: &str = r#"
cd "${1:-$HOME}" 2>/dev/null || { say failed 'its directory is not there'; end; }
root=$(pwd -P)
place() {
  case $1 in /*) p=$1 ;; *) p=$root/$1 ;; esac
  real=$(realpath -m -- "$p" 2>/dev/null) || { say outside "$2"; end; }
  case $real in "$root" | "${root%/}"/*) ;; *) say outside "$2"; end ;; esac
}
finish() {
  ( cd "$c" && for p in *.path; do
      i=${p%.path}
      if [ -e "$i.new" ]; then
        t=$(cat "$p") && mkdir -p "$(dirname "$t")" && mv -f "$i.new" "$t" || exit 1
      fi
    done && mv -f commit done )
}
"#;

/// `root path offset limit bytes`: a directory's entries, or a window of a file's lines.
const READ: &str = r#"
place "$2"
if [ -d "$real" ]; then
  say directory
  find "$real" -mindepth 1 -maxdepth 1 -printf '%y %s %f\0' | head -c 4000000 | base64
elif [ -f "$real" ]; then
  [ -r "$real" ] || { say denied; end; }
  say file "$(stat -c %s -- "$real")" "$(head -c 8192 -- "$real" | tr -dc '\000' | wc -c)"
  tail -n +"$3" -- "$real" | head -n "$4" | head -c "$5" | base64
elif [ -e "$real" ]; then say other; else say missing; fi
end
"#;

/// `root path bytes`: a whole file.
const LOAD: &str = r#"
place "$2"
if [ -d "$real" ]; then say directory
elif [ -f "$real" ]; then
  [ -r "$real" ] || { say denied; end; }
  size=$(stat -c %s -- "$real")
  [ "$size" -le "$3" ] || { say large "$size"; end; }
  say file "$size" 0
  base64 < "$real"
elif [ -e "$real" ]; then say other; else say missing; fi
end
"#;

/// `root most`, then three words a pattern (`path bytes count`): the beginnings of the files that fit, a line each: path in
/// base64, size, digest, content in base64; then a line with how many more fit, counted up to `most`.
const GATHER: &str = r#"
most=$2
shift 2
say files
IFS=
while [ $# -ge 3 ]; do
  n=0 k=0
  for p in $1; do
    [ "$k" -lt "$most" ] || break
    [ -f "$p" ] && [ -r "$p" ] || continue
    real=$(realpath -- "$p" 2>/dev/null) || continue
    case $real in "${root%/}"/*) ;; *) continue ;; esac
    if [ "$n" -eq "$3" ]; then k=$((k + 1)); continue; fi
    printf '%s %s %s ' "$(printf %s "$p" | base64 -w 0)" "$(stat -c %s -- "$real")" "$(sha256sum < "$real" | cut -d ' ' -f 1)"
    head -c "$2" -- "$real" | base64 -w 0
    echo
    n=$((n + 1))
  done
  echo "$k"
  shift 3
done | base64
end
"#;

/// `root key`: the answer of a change that was made.
const MADE: &str = r#"
c=$HOME/.verbatim/changes/$2
[ ! -e "$c/commit" ] || finish || { say failed 'a change could not be carried out'; end; }
if [ -e "$c/done" ]; then say made; cat "$c/answer"; else say none; fi
end
"#;

/// `root key count`, and on standard input the sections `answer`, and for each file `N.asked`, `N.sum`, `N.b64`.
const CHANGE: &str = r#"
c=$HOME/.verbatim/changes/$2
[ ! -e "$c/commit" ] || finish || { say failed 'a change could not be carried out'; end; }
[ ! -e "$c/done" ] || { say made; end; }
rm -rf "$c" && mkdir -p "$c" || { say failed 'nothing can be written there'; end; }
find "$HOME/.verbatim/changes" -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -rf {} + 2>/dev/null
awk -v d="$c/" '{ sub(/\r$/, "") } /^@/ { f = d substr($0, 2); printf "" > f; next } /^\.$/ { exit } { print > f }'
i=0
while [ "$i" -lt "$3" ]; do
  place "$(base64 -d < "$c/$i.asked")" "$i"
  if [ -d "$real" ]; then say directory "$i"; end; fi
  if [ -e "$real" ] && [ ! -f "$real" ]; then say other "$i"; end; fi
  sum=$(cat "$c/$i.sum")
  if [ "$sum" != - ]; then
    [ -f "$real" ] && [ "$(sha256sum < "$real" | cut -d ' ' -f 1)" = "$sum" ] || { say changed "$i"; end; }
  fi
  base64 -d < "$c/$i.b64" > "$c/$i.new" || { say failed 'nothing can be written there'; end; }
  if [ -f "$real" ]; then chmod --reference="$real" "$c/$i.new"; fi
  printf %s "$real" > "$c/$i.path"
  i=$((i + 1))
done
: > "$c/commit"
finish || { say failed 'a file could not be replaced'; end; }
rm -f "$c"/*.b64 "$c"/*.asked "$c"/*.sum "$c"/*.path
say made
end
"#;

/// A script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Read,
    Load,
    Gather,
    Made,
    Change,
}

impl Script {
    /// The command line that runs it with these arguments.
    pub fn command(self, arguments: &[&str]) -> String {
        let body = match self {
            Script::Read => READ,
            Script::Load => LOAD,
            Script::Gather => GATHER,
            Script::Made => MADE,
            Script::Change => CHANGE,
        };
        let mut command = format!("sh -c {} verbatim", quoted(&format!("{}{PRELUDE}{body}", scripted::PRELUDE)));
        for argument in arguments {
            command.push(' ');
            command.push_str(&quoted(argument));
        }
        command
    }
}

/// A word that a shell takes as it is.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The command line that runs a user's own in a directory of the workspace.
pub(super) fn command(root: &str, workdir: Option<&str>, line: &str) -> String {
    let root = if root.is_empty() { "\"$HOME\"".to_owned() } else { quoted(root) };
    let below = workdir.map(|path| format!(" && cd -- {}", quoted(path))).unwrap_or_default();
    format!("cd {root}{below} && exec sh -c {}", quoted(line))
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Letters on a line: few enough for a terminal.
const LINE: usize = 76;

/// Bytes in base64, in lines.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() / 3 * 4 + bytes.len() / 57 + 8);
    let mut on_line = 0;
    for chunk in bytes.chunks(3) {
        let three = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let number = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        for place in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() { '=' } else { letter as char });
        }
        on_line += 4;
        if on_line == LINE {
            text.push('\n');
            on_line = 0;
        }
    }
    if on_line > 0 {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::scripted::base64_of as bytes_of;

    #[test]
    fn bytes_go_there_and_back() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg==\n"), (b"fo", "Zm8=\n"), (b"foo", "Zm9v\n"), (b"\xff\xfe\0", "//4A\n")]
        {
            assert_eq!(base64(bytes), text);
            assert_eq!(bytes_of(text).as_deref(), Some(bytes));
        }
        let all: Vec<u8> = (0..=255).cycle().take(1000).collect();
        assert!(base64(&all).lines().all(|line| line.len() <= 76));
        assert_eq!(bytes_of(&base64(&all).replace('\n', "\r\n")), Some(all));
        assert_eq!(bytes_of("not base64!"), None);
    }

    #[test]
    fn words_reach_the_shell_as_they_are() {
        let word = "it's \"$HOME\" `id` \\ \n;";
        let printed = std::process::Command::new("sh")
            .args(["-c", &format!("printf %s {}", quoted(word))])
            .output()
            .expect("there is a shell");
        assert_eq!(String::from_utf8_lossy(&printed.stdout), word);
    }
}
