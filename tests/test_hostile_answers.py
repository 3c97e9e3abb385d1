"""What a node answers harms neither the memory nor the terminal of whoever asks."""

import msgspec
import pytest
from asked_node import ask, chain_id
from fakenode import Faults, Says

from daemon.chain.rpc import DENSE_BYTES_MAX, NodeRefused, NodeUnavailable

# The smallest that there is.
LOG = (
    b'{"address":"0x%040d","topics":[],"data":"0x","blockHash":"0x%064d","blockNumber":"0x1",'
    b'"transactionHash":"0x%064d","transactionIndex":"0x0","logIndex":"0x0","removed":false}'
) % (1, 2, 3)


def test_what_a_node_says_commands_no_terminal() -> None:
    faults = Faults()
    said = "\x1b[2J\x1b]0;mine\x07 all is well\r\n2040-01-01 granted \u202edeyap\x9b1A"
    faults.failures.append(Says(msgspec.json.encode({"id": 1, "error": {"message": said}})))
    with pytest.raises(NodeRefused) as caught:
        ask(faults, chain_id)
    assert caught.value.message == "?[2J?]0;mine? all is well??2040-01-01 granted ?deyap?1A"
    assert str(caught.value).isprintable()
    assert caught.value.details.isprintable()


@pytest.mark.parametrize("value", [b"[]", b"{}", b"0", b'""', b'{"a":[]}', b"[[[[]]]]"])
def test_a_large_answer_of_brackets_is_refused_before_it_fills_the_memory(value: bytes) -> None:
    faults = Faults()
    values = b",".join([value] * (DENSE_BYTES_MAX // (len(value) + 1) + 1))
    faults.failures.append(Says(b'{"id":1,"result":[%s]}' % values))
    with pytest.raises(NodeUnavailable, match="hardly anything but brackets"):
        ask(faults, chain_id)
    assert len(faults.requests) == 1


def test_a_large_answer_of_logs_without_data_is_read() -> None:
    faults = Faults()
    count = DENSE_BYTES_MAX // len(LOG) + 1
    faults.failures.append(Says(b'{"id":1,"result":[%s]}' % b",".join([LOG] * count)))
    assert len(ask(faults, chain_id)) == count
