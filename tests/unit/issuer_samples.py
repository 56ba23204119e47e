"""Which tokens of `issuer_tokens` are accepted, which are refused, and why."""

from typing import Final

from revocation.decision import Reason
from tests.unit.issuer_tokens import API, CLIENT, SAMPLES, TENANT, USER, Sample

KEYCLOAK, AUTH0, OKTA = (SAMPLES[name] for name in ("keycloak", "auth0", "okta"))
ENTRA, B2C, COGNITO = (SAMPLES[name] for name in ("entra", "entra-b2c", "cognito"))
FIREBASE, GOOGLE, PING = (SAMPLES[name] for name in ("firebase", "google", "ping"))
HYDRA, CLERK, UAA = (SAMPLES[name] for name in ("hydra", "clerk", "uaa"))
FUSIONAUTH, ZITADEL = SAMPLES["fusionauth"], SAMPLES["zitadel"]
SALESFORCE, KUBERNETES = SAMPLES["salesforce"], SAMPLES["kubernetes"]
RFC_9068 = SAMPLES["rfc9068"]
KEYCLOAK_24 = KEYCLOAK.but(session_state="0f1e2d3c", nonce="n-0S6", auth_time=0)
AUTH0_MACHINE = AUTH0.but(
    sub="shop@clients",
    aud=API,
    scope=None,
    gty="client-credentials",
    permissions=["orders:read"],
)
ENTRA_APPLICATION = ENTRA.but(
    scp=None, name=None, sid=None, roles=["Orders.Read"], idtyp="app"
)
ENTRA_V1 = ENTRA.but(
    iss=f"https://sts.windows.net/{TENANT}/",
    ver="1.0",
    azp=None,
    azpacr=None,
    appid=CLIENT,
    appidacr="1",
    unique_name="alice",
)
GROUPS: Final = [f"{number:08x}-2b1e-4a5d-9a57-3b1f7b0e8a11" for number in range(200)]

COUNT: Final[dict[str, Sample]] = {
    "Keycloak 26": KEYCLOAK,
    "Keycloak 26, typed": KEYCLOAK.of(typ="at+jwt"),
    "Keycloak, service account": KEYCLOAK.but(
        client_id="shop", sid=None, clientHost="192.0.2.1"
    ),
    "Keycloak 24": KEYCLOAK_24,
    "Auth0, RFC 9068": AUTH0.of(typ="at+jwt").but(azp=None, client_id="s", jti="j"),
    "Auth0, default profile": AUTH0,
    "Auth0, organisation": AUTH0.but(org_id="org_9ybsU1dN2dKfDkBi", scope=None),
    "Auth0, machine": AUTH0_MACHINE,
    "Okta": OKTA,
    "Okta, machine": OKTA.but(uid=None, auth_time=None, sub="0oaabcd1234"),
    "Entra v2, user": ENTRA,
    "Entra v2, application": ENTRA_APPLICATION,
    "Entra v1, user": ENTRA_V1,
    "Entra v1, application": ENTRA_V1.but(scp=None, roles=["x"], unique_name=None),
    "Entra, 200 groups": ENTRA.but(groups=GROUPS),
    "B2C": B2C,
    "B2C without nonce": B2C.but(nonce=None),
    "Cognito": COGNITO,
    "Cognito, machine": COGNITO.but(
        origin_jti=None, username=None, sub="4example0client"
    ),
    "Cognito, resource binding": COGNITO.but(aud=API)._replace(audience=API),
    "Firebase": FIREBASE,
    "Firebase, tenant": FIREBASE.but(firebase={"tenant": "acme-1"}),
    "Google": GOOGLE,
    "Google, no Workspace": GOOGLE.but(hd=None, jti=None, at_hash=None),
    "PingOne": PING,
    "PingOne, typed": PING.of(typ="at+jwt"),
    "PingOne, machine": PING.but(sub=None, sid=None).given(optional_claims=["sub"]),
    "PingFederate": PING.of(**{"typ": "JWT", "pi.atm": "x1"}).but(env=None, org=None),
    "PingFederate, typed": PING.of(**{"typ": "at+jwt", "pi.atm": "x1"}),
    "Hydra, no audience": HYDRA,
    "Hydra, audience": HYDRA.but(aud=[API])._replace(audience=API),
    "Hydra, JWT bearer grant": HYDRA.of(kid="").but(sub="shop"),
    "Hydra, session data": HYDRA.given(session_claims=["ext.sid"]),
    "Clerk v2": CLERK,
    "Clerk v2, no id": CLERK.but(jti=None, o=None),
    "Clerk v1": CLERK.but(v=None, o=None, org_id="org_1", org_role="admin").given(
        tenant_claim="org_id"
    ),
    "FusionAuth 1.60": FUSIONAUTH,
    "FusionAuth before 1.60": FUSIONAUTH.of(gty=["password"]).but(gty=None),
    "FusionAuth, unregistered": FUSIONAUTH.but(applicationId=None, roles=None),
    "Salesforce": SALESFORCE,
    "UAA": UAA,
    "UAA, client": UAA.but(
        sub="shop",
        user_id=None,
        user_name=None,
        origin=None,
        authorities=["orders.read"],
        grant_type="client_credentials",
    ),
    "XSUAA": UAA.but(
        iss="https://acme.authentication.eu10.hana.ondemand.com/oauth/token",
        **{"ext_attr": {"enhancer": "XSUAA"}, "xs.system.attributes": {}},
    ),
    "Zitadel": ZITADEL,
    "Zitadel, with its client": ZITADEL.but(client_id="shop"),
    "Kubernetes": KUBERNETES,
    "Kubernetes before 1.30": KUBERNETES.but(jti=None),
    "RFC 9068": RFC_9068,
    "Duende": RFC_9068.but(scope=["orders"], nbf=0, sid="1F2E"),
    "WSO2": RFC_9068.but(aut="APPLICATION_USER", azp="shop", binding_type="sso"),
    "node-oidc-provider": RFC_9068.but(**{"https://api.example/roles": ["x"]}),
    "Spring Authorization Server": RFC_9068.of(typ=None)
    .but(scope=["orders"], client_id=None, nbf=0)
    .given(allow_untyped=True, required_claims=[]),
}
"""Access tokens that count, by what they are."""

_BARE: Final = {"scope": None, "scp": None}

OTHER_KINDS: Final[dict[str, Sample]] = {
    "Keycloak, ID token": KEYCLOAK.but(typ="ID", at_hash="h", scope=None),
    "Keycloak, bare ID token": KEYCLOAK.but(typ="ID"),
    "Keycloak, refresh token": KEYCLOAK.but(typ="Refresh"),
    "Keycloak, bound by DPoP": KEYCLOAK.but(typ="DPoP", cnf={"jkt": "k"}),
    "Auth0, ID token": AUTH0.but(aud=API, azp=None, nonce="n", sid="s", **_BARE),
    "Auth0, bare ID token": AUTH0.but(aud=API, azp=None, **_BARE),
    "Okta, ID token": OKTA.but(cid=None, uid=None, amr=["pwd"], idp="00o", **_BARE),
    "Entra v2, ID token": ENTRA.but(azp=None, azpacr=None, roles=["x"], **_BARE),
    "Entra v1, ID token": ENTRA_V1.but(appid=None, appidacr=None, **_BARE),
    "Entra, ID token with a nonce": ENTRA.but(nonce="n"),
    "B2C, ID token": B2C.but(azp=None, auth_time=0, idp="x", **_BARE),
    "B2C, hybrid ID token": B2C.but(c_hash="h"),
    "Cognito, ID token": COGNITO.but(
        **{"aud": "4example0client", "client_id": None, "token_use": "id", **_BARE},
        at_hash="h",
    ),
    "Cognito, bare ID token": COGNITO.but(token_use="id"),
    "PingOne, ID token": PING.but(client_id=None, at_hash="h", **_BARE),
    "PingOne, bare ID token": PING.but(client_id=None, **_BARE),
    "Hydra, ID token": HYDRA.but(
        **{"aud": ["shop"], "client_id": None, "ext": None, "rat": 1, **_BARE}
    ),
    "Clerk, ID token": CLERK.but(fva=None, aud="https://shop.example", sts=None),
    "FusionAuth, ID token": FUSIONAUTH.but(tty=None, at_hash="h"),
    "FusionAuth, bare ID token": FUSIONAUTH.but(tty=None),
    "Salesforce, ID token": SALESFORCE.but(client_id=None, mty=None, **_BARE),
    "UAA, ID token": UAA.but(
        aud=["orders"],
        scope=["openid"],
        email_verified=True,
        previous_logon_time=1,
    ),
    "UAA, refresh token": UAA.but(scope=None, granted_scopes=["orders.read"]),
    "Zitadel, ID token": ZITADEL.but(
        jti=None,
        azp=CLIENT,
        client_id=CLIENT,
        amr=["pwd"],
        sid="s",
    ),
    "Kubernetes, no service account's": KUBERNETES.but(**{"kubernetes.io": None}),
    "RFC 9068, ID token": RFC_9068.of(typ="JWT"),
    "Google, logout token": GOOGLE.but(events={"urn:x": {}}, nonce=None),
    "Firebase, security event": FIREBASE.but(events={"urn:x": {}}),
}
"""What the same issuers sign with the same keys, meant for the same audience."""

REFUSED: Final[dict[str, tuple[Sample, Reason, str]]] = {
    "Keycloak without an audience": (
        KEYCLOAK.but(aud=None),
        Reason.AUDIENCE_REFUSED,
        (
            "the token has no `aud`: add an audience mapper at Keycloak (to the client "
            "or one of its client scopes), or list its `azp` in audiences with "
            'audience_claims = ["azp"]'
        ),
    ),
    "Keycloak for the account": (
        KEYCLOAK.but(aud="account"),
        Reason.AUDIENCE_REFUSED,
        "the `aud` claim does not name us: add an audience mapper at Keycloak",
    ),
    "Keycloak without a subject": (
        KEYCLOAK.but(sub=None),
        Reason.UNVERIFIABLE,
        (
            "the token has no `sub` claim: add the client scope `basic` to the client "
            "at Keycloak, or user_claim names another"
        ),
    ),
    "Entra for Microsoft Graph": (
        ENTRA.but(aud="00000003-0000-0000-c000-000000000000"),
        Reason.AUDIENCE_REFUSED,
        "tokens for Microsoft Graph are for Graph alone",
    ),
    "Entra for 28 hours": (
        ENTRA._replace(lives=100_800),
        Reason.LIFETIME_EXCEEDED,
        "max_token_lifetime_seconds",
    ),
    "PingOne, machine": (
        PING.but(sub=None),
        Reason.UNVERIFIABLE,
        'optional_claims = ["sub"] accepts it, and no event about a user then',
    ),
    "PingFederate without a date": (
        PING.but(iat=None),
        Reason.UNVERIFIABLE,
        "the token has no `iat` claim: have the access token manager include",
    ),
    "Zitadel without an id": (
        ZITADEL.but(jti=None).given(access_token_claims=[]),
        Reason.UNVERIFIABLE,
        "choose JWT as the access token type of the application at Zitadel",
    ),
    "Cognito of another client": (
        COGNITO.but(client_id="another"),
        Reason.AUDIENCE_REFUSED,
        "the `client_id` claim does not name us",
    ),
    "Clerk without an origin": (
        CLERK.but(azp=None),
        Reason.AUDIENCE_REFUSED,
        "add `aud` to the session token at Clerk",
    ),
    "UAA without its preset's jku": (
        UAA.given(ignored_header_members=[]),
        Reason.MALFORMED,
        "ignored_header_members",
    ),
    "FusionAuth of another kind": (
        FUSIONAUTH.but(tty="id"),
        Reason.UNVERIFIABLE,
        "the `tty` claim is not what the issuer's tokens must have",
    ),
    "an integer subject": (
        KEYCLOAK.but(sub=4_711),
        Reason.UNVERIFIABLE,
        "no event can name the `sub` claim",
    ),
    "a token before its time": (
        KEYCLOAK.but(nbf=121),
        Reason.NOT_YET_VALID,
        "`nbf`",
    ),
}
"""Tokens that are refused, and what is said of it."""

AS_REPORTED: Final[dict[str, Sample]] = {
    "dated a few seconds ahead": KEYCLOAK._replace(aged=-3),
    "typed in capitals": RFC_9068.of(typ="AT+JWT"),
    "typed in full": RFC_9068.of(typ="application/at+jwt"),
    "Cognito without an audience": COGNITO,
    "200 groups": ENTRA.but(groups=GROUPS),
    "a user as text": KEYCLOAK.but(sub=USER),
}
"""What people report other verifiers to stumble over."""
