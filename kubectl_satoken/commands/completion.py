"""kubectl satoken completion: how shells come to complete its command lines."""

import argparse

from ..cli import PROG
from ..env import Env
from ..errors import ExitStatus

HELP = "Tell how to have command lines completed, or print a script for a shell"

DESCRIPTION = """\
Tell how to have command lines completed when TAB is pressed: verbs, flags and
their values, types, and the names of what is in the cluster.

For "kubectl satoken" kubectl does it, where its own completion is switched on.
For "kubectl-satoken", with a dash, a script does, which this prints for a SHELL.
"""

EPILOG = f"""\
Examples:
  # What is to be done?
  {PROG} completion

  # For kubectl-satoken, with a dash, in this bash
  source <({PROG} completion bash)
"""

GUIDE = """\
kubectl completes "kubectl satoken" if its own completion is switched on (see
kubectl completion --help) and the program kubectl_complete-satoken is on PATH.

pip and pipx install that program. krew links one program for each plugin, so
add this link, once:

  ln -s kubectl-satoken "${KREW_ROOT:-$HOME/.krew}/bin/kubectl_complete-satoken"

For "kubectl-satoken", with a dash, add the line of your shell to its startup
file:

  source <(kubectl-satoken completion bash)     # ~/.bashrc
  source <(kubectl-satoken completion zsh)      # ~/.zshrc
  kubectl-satoken completion fish | source      # ~/.config/fish/config.fish
"""

BASH = r"""# Completes kubectl-satoken, with a dash, in bash.
_kubectl_satoken() {
    local line=${COMP_LINE:0:COMP_POINT} out directive one
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    out=$(kubectl-satoken __complete "${words[@]:1}" 2>/dev/null) || return
    directive=${out##*:}
    out=${out%:*}
    # the value of --flag=value is a word of its own to bash, unless COMP_WORDBREAKS was changed
    local last=${words[${#words[@]}-1]} prefix=""
    [[ $last == -*=* && $COMP_WORDBREAKS != *=* ]] && prefix=${last%%=*}=
    COMPREPLY=()
    while IFS= read -r one; do
        [[ -n $one ]] && COMPREPLY+=("$prefix${one%%$'\t'*}")
    done <<<"$out"
    ((directive & 2)) && compopt -o nospace 2>/dev/null
    ((directive & 4)) && compopt +o default 2>/dev/null
    return 0
}
complete -o default -F _kubectl_satoken kubectl-satoken
"""

ZSH = r"""#compdef kubectl-satoken
# Completes kubectl-satoken, with a dash, in zsh.
_kubectl-satoken() {
    local -a lines candidates
    local one directive
    lines=("${(@f)$(kubectl-satoken __complete "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    directive=${lines[-1]#:}
    lines[-1]=()
    [[ $PREFIX == -*=* ]] && compset -P '*='
    for one in $lines; do
        candidates+=("${${one%%$'\t'*}//:/\\:}:${one#*$'\t'}")
        [[ $one == *$'\t'* ]] || candidates[-1]=${${one}//:/\\:}
    done
    local -a options
    (( directive & 2 )) && options=(-S '')
    if (( ${#candidates} )); then
        _describe completions candidates "${options[@]}"
    elif (( ! (directive & 4) )); then
        _files
    fi
}
if [[ $funcstack[1] == _kubectl-satoken ]]; then
    _kubectl-satoken "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _kubectl-satoken kubectl-satoken
fi
"""

FISH = r"""# Completes kubectl-satoken, with a dash, in fish.
function __kubectl_satoken_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    set -l lines (kubectl-satoken __complete $words "$current" 2>/dev/null)
    set -l directive (string replace : '' -- $lines[-1])
    set -e lines[-1]
    set -l prefix (string match -r -- '^-[^=]*=' "$current")
    if test (count $lines) -eq 0
        test "$directive" = 0; and __fish_complete_path "$current"
        return
    end
    for line in $lines
        echo "$prefix$line"
    end
end
complete -c kubectl-satoken -f -a '(__kubectl_satoken_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of completion."""
    parser.add_argument(
        "shell",
        metavar="SHELL",
        nargs="?",
        choices=tuple(SCRIPTS),
        help=f"{', '.join(SCRIPTS)}: print the script for it",
    )


def run(args: argparse.Namespace, env: Env) -> int:
    """Prints the script, or what is to be done. Returns the exit status."""
    env.stdout.write(SCRIPTS.get(args.shell, GUIDE))
    return ExitStatus.OK
