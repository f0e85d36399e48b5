"""What machines ask."""

from webapp.testing.site import Site
from webapp.web import probe


def test_health_and_readiness(keystead: Site) -> None:
    client = keystead.visitor().client
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").text == "ok\n"


def test_what_only_doctor_is_told_is_told_to_nobody_else(keystead: Site) -> None:
    client = keystead.visitor().client
    for asked in ("", "x", "MTIz.x"):
        assert client.get("/healthz", headers={"keystead-doctor": asked}).text == "ok\n"


def test_the_question_of_another_versions_doctor_is_answered_as_any(keystead: Site) -> None:
    client = keystead.visitor().client
    for asked in ({"at": 1}, "now", None, [1]):
        question = probe._serializer(keystead.settings.secret_keys).dumps(asked)
        assert client.get("/healthz", headers={"keystead-doctor": str(question)}).text == "ok\n"


def test_there_is_no_page_of_counts_unless_the_deployer_set_its_secret(keystead: Site) -> None:
    assert keystead.visitor().client.get("/metrics").status_code == 404
