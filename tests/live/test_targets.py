"""The words before the slash mean what they mean to kubectl."""

from typing import Any

from kubectl_satoken import discovery, errors
from kubectl_satoken.cluster import path_of
from tests.live.test_api import connect, kubectl
from tests.test_targets import DISCOVERED, WORDS


def test_words_mean_what_they_mean_to_kubectl(cluster: Any) -> None:
    api = connect(cluster.kubeconfig)
    wrong = {}
    for word in (*WORDS, *DISCOVERED):
        done = kubectl(cluster.kubeconfig, "get", word, "-A", "-o", "name", "-v6", check=False)
        try:
            kind = discovery.find(api, word)
        except errors.UsageError as error:
            if done.returncode == 0 or error.message not in done.stderr:
                wrong[word] = (error.message, done.stderr.splitlines()[-1:])
            continue
        # the path of kubectl's request names version and resource
        if done.returncode != 0 or f"{path_of(kind)}?limit=500" not in done.stderr:
            wrong[word] = (kind.kind, done.stderr.splitlines()[-1:])
    assert wrong == {}
