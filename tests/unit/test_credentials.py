"""Where the token is in a request, and whether it may be used."""

import pytest
from hypothesis import given, strategies as st

from revocation.errors import SettingsError
from revocation.web.credentials import (
    OTHER_COOKIES_BYTES,
    CredentialFault,
    CredentialRules,
    Credentials,
    find_credentials,
)

MAX = 8_192
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnLW5hdHVyZQ"
COOKIE = CredentialRules(cookie="__Host-token")
OWN = CredentialRules(cookie="__Host-token", own_origins=("https://app.example",))


def fields(**headers):
    """Header fields from keywords; a list is the field more than once."""
    return [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, values in headers.items()
        for value in (values if isinstance(values, list) else [values])
    ]


def find(rules=COOKIE, method="GET", *, websocket=False, **headers):
    return find_credentials(
        *(method, fields(**headers), rules), max_token_bytes=MAX, websocket=websocket
    )


def with_cookie(rules=COOKIE, method="POST", *, websocket=False, **headers):
    cookie = f"__Host-token={TOKEN}"
    return find(rules, method, websocket=websocket, cookie=cookie, **headers)


# The Authorization header -------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {TOKEN}",
        f"bearer {TOKEN}",
        f"BEARER {TOKEN}",
        f"Bearer   {TOKEN}",
        f" \tBearer {TOKEN} ",
    ],
)
def test_the_scheme_is_case_insensitive_and_spaces_do_not_count(value):
    assert find(authorization=value) == Credentials(TOKEN, None)


@pytest.mark.parametrize("token", ["a", "a==", "-._~+/9Z="])
def test_every_b64token_is_taken(token):
    assert find(authorization=f"Bearer {token}").token == token


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "Bearer =",
        "Bearer a b",
        "Bearer a=b",
        "Bearer a,b",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        'Bearer token="a"',
        "Bearer\ta",
        "Bearer,a",
        "Bearer a\n",
        "Bearer a\x00",
        "Bearer \xe9",
    ],
)
def test_another_syntax_is_malformed(value):
    assert find(authorization=value) == Credentials(None, CredentialFault.MALFORMED)


@pytest.mark.parametrize(
    "value", ["", "Basic YTpi", "Bearers a", "Bearer-1 a", "DPoP a"]
)
def test_another_scheme_is_no_token_of_ours(value):
    assert find(authorization=value).fault is CredentialFault.MISSING
    assert with_cookie(method="GET", authorization=value).token == TOKEN


def test_two_authorization_headers_are_refused_even_if_one_is_basic():
    for other in (f"Bearer {TOKEN}", "Basic YTpi"):
        both = find(authorization=[f"Bearer {TOKEN}", other])
        assert both == Credentials(None, CredentialFault.DUPLICATED)


def test_a_token_has_a_greatest_size():
    assert find(authorization="Bearer " + "a" * MAX).fault is None
    larger = find(authorization="Bearer " + "a" * (MAX + 1))
    assert larger.fault is CredentialFault.TOO_LARGE


def test_without_configuration_a_cookie_is_no_credential():
    found = find(CredentialRules(), cookie=f"__Host-token={TOKEN}; token={TOKEN}")
    assert found.fault is CredentialFault.MISSING


# The cookie ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["token", "__host-token", "__Secure-token", "__Host-", "__Host-a b", "__Host-a=b"],
)
def test_a_cookie_that_a_neighbour_could_set_is_refused_at_construction(name):
    with pytest.raises(SettingsError, match="another host"):
        CredentialRules(cookie=name)


@pytest.mark.parametrize(
    "cookies",
    [
        f"__Host-token={TOKEN}",
        f"a=1; __Host-token={TOKEN}; b=2",
        f"a=1;__Host-token={TOKEN}",
        ["a=1", f"__Host-token={TOKEN}"],
        f"__Host-tokens=x; __host-token=x; __Host-token={TOKEN}",
    ],
)
def test_the_cookie_is_found_among_others(cookies):
    assert find(cookie=cookies) == Credentials(TOKEN, None)


@pytest.mark.parametrize(
    "cookies",
    [
        "__Host-token=a; __Host-token=b",
        "__Host-token=a; __Host-token=a",
        ["__Host-token=a", "__Host-token=b"],
        "__Host-token=a; __Host-token",
        "__Host-token=a; \t__Host-token =b",
    ],
)
def test_a_cookie_that_is_there_twice_is_refused(cookies):
    assert find(cookie=cookies) == Credentials(None, CredentialFault.DUPLICATED)


@pytest.mark.parametrize("value", ["", '"a"', "a b", "a,b", "\xe9", "a=b"])
def test_a_cookie_that_holds_no_token_is_malformed(value):
    assert find(cookie=f"__Host-token={value}").fault is CredentialFault.MALFORMED


def test_white_space_that_only_some_parsers_strip_makes_another_name():
    assert (
        find(cookie="\xa0__Host-token=a; \x85__Host-token=b").fault
        is CredentialFault.MISSING
    )


def test_cookies_have_a_greatest_size_together():
    padding = "p=" + "x" * (MAX + OTHER_COOKIES_BYTES)
    assert find(cookie=f"__Host-token=a; {padding}").fault is CredentialFault.TOO_LARGE
    assert (
        find(cookie=f"__Host-token={'a' * (MAX + 1)}").fault
        is CredentialFault.TOO_LARGE
    )


def test_beside_the_longest_token_there_is_room_for_other_cookies():
    longest, others = "a" * MAX, "p=" + "x" * (OTHER_COOKIES_BYTES - 100)
    assert find(cookie=f"__Host-token={longest}; {others}").token == longest


def test_the_header_counts_when_a_browser_sends_its_cookie_as_well():
    """And a page that can set the header needs no other evidence."""
    found = with_cookie(authorization="Bearer mine", sec_fetch_site="cross-site")
    assert found == Credentials("mine", None)


def test_the_cookie_does_not_step_in_for_a_header_that_is_no_good():
    found = with_cookie(method="GET", authorization="Bearer a b")
    assert found == Credentials(None, CredentialFault.MALFORMED)


# Whose page asked ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("site", ["none", "same-origin", "same-site", "cross-site"])
def test_what_only_reads_needs_no_evidence(method, site):
    """Links from elsewhere work; what they show stays in the person's own browser."""
    assert with_cookie(method=method, sec_fetch_site=site).token == TOKEN


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "get", "X"])
def test_what_acts_needs_evidence(method):
    refused = Credentials(None, CredentialFault.CROSS_SITE)
    assert with_cookie(method=method) == refused
    assert with_cookie(method=method, sec_fetch_site="same-origin").token == TOKEN


HERE = {"host": "app.example", "origin": "https://app.example"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "Same-Origin"},
        {"sec_fetch_site": ["same-origin", "cross-site"]},
        {"sec_fetch_site": "same-origin, cross-site"},
        {**HERE, "sec_fetch_site": "cross-site"},
        {**HERE, "sec_fetch_site": "none"},
        {**HERE, "origin": "http://app.example"},
        {**HERE, "origin": "https://app.example:8443"},
        {**HERE, "origin": "https://app.example.evil.example"},
        {**HERE, "origin": "https://evil.example"},
        {**HERE, "origin": "null"},
        {**HERE, "origin": ""},
        {**HERE, "origin": ["https://app.example", "https://app.example"]},
        {**HERE, "origin": "https://app.example https://app.example"},
        {"host": "app.example"},
        {"host": "", "origin": "https://"},
        {"origin": "https://app.example"},
        {**HERE, "host": ["app.example", "app.example"]},
        {"host": "app.example", "referer": "https://app.example/"},
    ],
)
def test_what_is_no_evidence(headers):
    assert with_cookie(**headers) == Credentials(None, CredentialFault.CROSS_SITE)


@pytest.mark.parametrize(
    "headers",
    [
        HERE,
        {**HERE, "host": "APP.example:443"},
        {"host": "app.example:8443", "origin": "https://app.example:8443"},
    ],
)
def test_an_older_browser_shows_the_origin_of_the_host_itself(headers):
    assert with_cookie(**headers).token == TOKEN


@pytest.mark.parametrize("site", [None, "same-site", "cross-site"])
def test_an_own_origin_is_accepted_for_any_requested_host(site):
    headers = {"host": "api.example", "origin": "https://app.example"}
    if site is not None:
        headers["sec_fetch_site"] = site
    assert with_cookie(OWN, **headers).token == TOKEN


def test_the_host_is_no_origin_if_others_are_configured():
    headers = {"host": "api.example", "origin": "https://api.example"}
    assert with_cookie(OWN, **headers).fault is CredentialFault.CROSS_SITE


def test_opening_a_websocket_acts():
    """No same-origin policy holds a foreign page back from opening one."""
    assert with_cookie(method="GET", websocket=True).fault is CredentialFault.CROSS_SITE
    foreign = {**HERE, "origin": "https://evil.example"}
    assert with_cookie(websocket=True, **foreign).fault is CredentialFault.CROSS_SITE
    assert with_cookie(websocket=True, **HERE).token == TOKEN
    assert find(websocket=True, authorization=f"Bearer {TOKEN}").token == TOKEN


def test_a_missing_or_wrong_cookie_is_reported_before_the_origin():
    assert find(method="POST").fault is CredentialFault.MISSING
    assert (
        find(method="POST", cookie="__Host-token=a b").fault
        is CredentialFault.MALFORMED
    )


@pytest.mark.parametrize(
    "origin",
    [
        *("app.example", "https://app.example/", "HTTPS://app.example", "null", "*"),
        *("https://App.example", "https://app.example:443", "http://localhost:80"),
        *("ftp://app.example", "https://", "https://a b", "https://app.example\n"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_at_construction(origin):
    with pytest.raises(SettingsError, match="is not an origin"):
        CredentialRules(own_origins=(origin,))


def test_an_origin_may_have_a_port_and_be_an_address():
    origins = ("http://localhost:8000", "https://[::1]:4430", "https://10.0.0.1")
    assert CredentialRules(own_origins=origins).own_origins == origins


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"authorization", b"cookie", b"origin", b"host", b"sec-fetch-site"]
            ),
            st.binary(max_size=40)
            | st.sampled_from([b"Bearer a", b"__Host-token=a", b"same-origin"]),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_whatever_is_sent_there_is_a_token_or_a_fault(headers, websocket):
    token, fault = find_credentials(
        "POST", headers, COOKIE, max_token_bytes=MAX, websocket=websocket
    )
    assert (token is None) != (fault is None)
