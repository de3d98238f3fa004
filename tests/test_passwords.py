import pytest

from autosched.errors import StoreError
from autosched.passwords import check_unambiguous, hide_passwords, passwords_in


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cret@host/x", "postgresql://me:***@host/x"),
        ("postgresql://me:s3:cret@host:5432/x", "postgresql://me:***@host:5432/x"),
        ("postgresql://me:s3cret%40@host/x", "postgresql://me:***@host/x"),
        ("postgresql://:s3cret@host/x", "postgresql://:***@host/x"),
        # Of a URL that is no good, too: the tail of the password is not the host.
        ("postgresql://me:p@s3cret@host/x", "postgresql://me:***@host/x"),
        ("postgresql://me:p/s3cret#@host/x", "postgresql://me:***@host/x"),
        ("postgresql://me@host/x?password=s3cret", "postgresql://me@host/x?password=***"),
        (
            "postgresql://h/x?a=1&sslpassword=s3cret&passfile=/f",
            "postgresql://h/x?a=1&sslpassword=***&passfile=/f",
        ),
        ("postgresql://h/x?PassWord=p&s3cret&a=1", "postgresql://h/x?PassWord=***&a=1"),
        ("postgresql://h/x?p%61ssword=s3cret", "postgresql://h/x?p%61ssword=***"),
        ("--storage=postgresql://me:s3cret@host/x", "--storage=postgresql://me:***@host/x"),
        ("host=h password=s3cret dbname=x", "host=h password=*** dbname=x"),
        ("connect(host='h', password='s3 cret')", "connect(host='h', password=***)"),
        ("{'password': 's3cret', 'port': 1}", "{'password': ***, 'port': 1}"),
    ],
)
def test_a_password_is_hidden_wherever_it_stands(text: str, shown: str) -> None:
    assert hide_passwords(f"see {text} and go on") == f"see {shown} and go on"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me@host:5432/x?sslmode=require",
        "postgresql:///x?host=/run/postgresql&passfile=/home/me/.pgpass",
        "sqlite:////tmp/a@b:c/x.sqlite3",
        "/data/a:b@c.sqlite3",
        "https://example.org/a?b=c",
    ],
)
def test_what_has_no_password_stays(text: str) -> None:
    assert hide_passwords(text) == text


def test_a_known_password_is_hidden_without_its_url() -> None:
    known = passwords_in("postgresql://me:s3%40 cret@host/x?sslpassword=k%C3%B6y")
    assert hide_passwords("s3@ cret, s3%40 cret, köy", known) == "***, ***, ***"
    assert hide_passwords("a bad place: a", ["a"]) == "*** bad place: ***"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p@s3cret@host/x",
        "postgresql://me:p@s3cret@host:5432/x?sslmode=require",
        "postgresql://me:s3cret#1@host/x",
        "postgresql://me:s3cret/1@host/x",
        "postgresql://me:s3cret?1@host/x",
        "postgresql://me@s3cret:p@host/x",
        "postgresql://me:p@s3cret#@host/x",
        "postgresql://s3cret:5432/x@host",  # or is the password 5432/x?
    ],
)
def test_an_ambiguous_url_is_refused_without_a_part_of_it(url: str) -> None:
    with pytest.raises(StoreError, match=r"@ as %40.*p%40ss") as caught:
        check_unambiguous(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:my s3cret@host/x",
        "postgresql://my s3cret@host/x",
        "postgresql://me:my's3cret@host/x",
        'postgresql://me:my"s3cret@host/x',
        "postgresql://host/x?password=my s3cret",
        "postgresql://host/x?a=1&sslpassword=my's3cret",
        "postgresql://host/x?password=my\ts3cret",
    ],
)
def test_what_would_end_a_url_is_refused_without_a_part_of_it(url: str) -> None:
    with pytest.raises(StoreError, match=r"blank as %20, ' as %27") as caught:
        check_unambiguous(url)
    assert "my" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3%40cret%2F%23@host/x",
        "postgresql://me:s3:cret@host/x",
        "postgresql://me@host/x?password=p@ss#1",
        "postgresql://host/x@y",
        "sqlite:////tmp/a@b:c@d/x.sqlite3",
        "sqlite:////tmp/my file's.sqlite3",
        "postgresql://me:s3%20cret%27@host/x?application_name=a b",
        "no URL",
    ],
)
def test_an_unambiguous_one_is_not(url: str) -> None:
    check_unambiguous(url)
