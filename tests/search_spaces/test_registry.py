import subprocess
import sys

import pytest

import search_spaces
from nas.util.errors import UserError


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(UserError, match="did you mean nexception") as caught:
        search_spaces.get("NEXception")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="'zzz': must be one of mobilenet, nexception, resnet, vit"):
        search_spaces.get("zzz")


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="registered already"):
        search_spaces.register("nexception", "somewhere:Else")


def test_the_registry_stays_light():
    code = (
        "import sys, search_spaces\n"
        "space = search_spaces.get('nexception'); space.sample(10, 0); space.reduced(16)\n"
        "print(sorted({'torch', 'timm', 'ConfigSpace', 'numpy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
