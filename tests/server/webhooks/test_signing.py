"""Signatures as the specification's own libraries make and verify them."""

from server.webhooks.signing import headers_of, signature
from tests.server.webhooks.receiver import expected

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE, STAMP, PAYLOAD = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
# Of PyPI's standardwebhooks 1.1.0: Webhook(SECRET).sign(MESSAGE, datetime.fromtimestamp(1614265330, UTC), PAYLOAD).
KNOWN = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signature_is_that_of_the_specifications_library() -> None:
    assert signature(SECRET, MESSAGE, STAMP, PAYLOAD) == KNOWN
    assert expected(SECRET, MESSAGE, STAMP, PAYLOAD) == KNOWN


def test_every_valid_secret_signs() -> None:
    other = "whsec_" + "QUFB" * 8
    headers = headers_of([other, SECRET], MESSAGE, 1614265330.9, PAYLOAD)
    assert headers["webhook-id"] == MESSAGE
    assert headers["webhook-timestamp"] == STAMP
    assert headers["webhook-signature"] == f"{signature(other, MESSAGE, STAMP, PAYLOAD)} {KNOWN}"
