"""
A stand-in for the endpoints of Microsoft Intune that a third-party CA calls. It follows the documented requests strictly: what Microsoft's own client does not
send is refused with 400 and kept in `faults`. Answers can be spoiled: `spoil[path end] = [(status, headers, body), …]` is used up call by call.
"""

import base64
import http.server
import json
import re
import threading
import time
import urllib.parse

TENANT, APPLICATION, SECRET = "contoso.onmicrosoft.com", "11111111-2222-3333-4444-555555555555", "s3cret&with=signs"
GRAPH_SCOPE, INTUNE_SCOPE = "https://graph.microsoft.com/.default", "https://api.manage.microsoft.com//.default"
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Intune:
    def __init__(self):
        self.calls, self.faults, self.spoil, self.codes = [], [], {}, {}
        self.revocations, self.results = {}, []  # by requestContext until a result that is none to repeat comes; what was uploaded
        self.tokens, self.expires_in = {}, 3599
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.handle(self, b"")

            def do_POST(self):
                outer.handle(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def names(self):
        return [name for name, _ in self.calls]

    def handle(self, request, body):
        name = request.path.split("?")[0].rsplit("/", 1)[-1]
        self.calls.append((name, body))
        if self.spoil.get(name):
            status, headers, text = self.spoil[name].pop(0)
            if status == "silence":
                time.sleep(text)
                return
            self.answer(request, status, text, headers)
            return
        try:
            self.answer(request, 200, json.dumps(self.reply(request, name, body)))
        except AssertionError as fault:
            self.faults.append(f"{request.path}: {fault} {body[:200]!r}")
            self.answer(request, 400, json.dumps({"code": "Unknown", "errorDescription": str(fault)}))

    @staticmethod
    def answer(request, status, text, headers=()):
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text.encode())))
        for header in headers:
            request.send_header(*header)
        request.end_headers()
        request.wfile.write(text.encode())

    def reply(self, request, name, body):
        if request.path == f"/{TENANT}/oauth2/v2.0/token":
            return self.token(request, body)
        if request.path == "/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints":
            assert request.command == "GET" and self.bearer(request) == GRAPH_SCOPE, "the token is not for Graph"
            return {"value": [{"providerName": "SomethingElse", "uri": "http://127.0.0.1:1"},
                              {"providerName": "ScepRequestValidationFEService", "uri": f"{self.url}/RACerts/StatelessScepRequestValidationService"},
                              {"providerName": "PkiConnectorFEService", "uri": f"{self.url}/RACerts/PkiConnectorFEService"}]}
        pulls = name in ("downloadRevocationRequests", "uploadRevocationResults")
        service = "PkiConnectorFEService/CertificateAuthorityRequests" if pulls else "StatelessScepRequestValidationService/ScepActions"
        assert request.path == f"/RACerts/{service}/{name}", "no such path"
        assert request.command == "POST" and self.bearer(request) == INTUNE_SCOPE, "the token is not for Intune"
        assert request.headers["api-version"] == ("5019-05-05" if pulls else "2018-02-20"), "api-version"
        assert GUID.fullmatch(request.headers["client-request-id"]), "client-request-id"
        assert request.headers["Content-Type"] == "application/json", "content type"
        return {"validateRequest": self.validate, "successNotification": self.success, "failureNotification": self.failure,
                "downloadRevocationRequests": self.download, "uploadRevocationResults": self.upload}[name](json.loads(body))

    def token(self, request, body):
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        assert set(form) == {"grant_type", "client_id", "client_secret", "scope"}, "fields"
        assert form["grant_type"] == "client_credentials" and form["client_id"] == APPLICATION and form["client_secret"] == SECRET, "credentials"
        assert form["scope"] in (GRAPH_SCOPE, INTUNE_SCOPE), "scope"
        value = f"token-{len(self.tokens)}"
        self.tokens[value] = form["scope"]
        return {"token_type": "Bearer", "expires_in": self.expires_in, "access_token": value}

    def bearer(self, request):
        return self.tokens.get((request.headers["Authorization"] or "").removeprefix("Bearer "))

    @staticmethod
    def common(message):
        assert 0 < len(message["transactionId"]), "transactionId"
        assert base64.b64decode(message["certificateRequest"], validate=True)[:1] == b"\x30", "certificateRequest"
        assert message["callerInfo"].startswith("Signet/"), "callerInfo"

    def validate(self, message):
        assert set(message) == {"request"} and set(message["request"]) == {"transactionId", "certificateRequest", "callerInfo"}, "fields"
        self.common(message["request"])
        return {"code": self.codes.get("validateRequest", "Success"), "errorDescription": ""}

    def success(self, message):
        notification = message["notification"]
        assert set(message) == {"notification"} and set(notification) == {
            "transactionId", "certificateRequest", "certificateThumbprint", "certificateSerialNumber", "certificateExpirationDateUtc",
            "issuingCertificateAuthority", "callerInfo", "caConfiguration", "certificateAuthority"}, "fields"
        self.common(notification)
        assert re.fullmatch("[0-9a-fA-F]{40}", notification["certificateThumbprint"]) and DATE.fullmatch(notification["certificateExpirationDateUtc"]), "form"
        self.told = notification
        return {"code": self.codes.get("successNotification", "Success"), "errorDescription": ""}

    def failure(self, message):
        notification = message["notification"]
        assert set(notification) == {"transactionId", "certificateRequest", "hResult", "errorDescription", "callerInfo"}, "fields"
        self.common(notification)
        assert isinstance(notification["hResult"], int) and len(notification["errorDescription"]) <= 255, "form"
        return {"code": "Success", "errorDescription": ""}

    # ---- revocation: what has no result yet comes again

    def wish(self, context, serial):
        self.revocations[context] = {"requestContext": context, "serialNumber": serial, "issuerName": "CN=Some CA", "caConfiguration": "demo-issuing"}

    def download(self, message):
        assert set(message) == {"downloadParameters"} and set(message["downloadParameters"]) == {"maxRequests", "issuerName"}, "fields"
        most = message["downloadParameters"]["maxRequests"]
        assert isinstance(most, int) and 1 <= most <= 500 and message["downloadParameters"]["issuerName"] is None, "values"
        return {"value": list(self.revocations.values())[:most]}

    def upload(self, message):
        assert set(message) == {"results"} and message["results"], "fields"
        for result in message["results"]:
            assert {"requestContext", "succeeded", "errorCode"} <= set(result) <= {"requestContext", "succeeded", "errorCode", "errorMessage"}, "fields"
            assert result["requestContext"] in self.revocations, "requestContext"
            assert result["succeeded"] == (result["errorCode"] == "None"), "succeeded and an error"
            assert result["errorCode"] in ("None", "NonRetryableServiceException", "ParameterDataInvalidError", "CertificateNotFoundError",
                                           "RetryableServiceException"), "errorCode"
            if result["errorCode"] != "RetryableServiceException":
                del self.revocations[result["requestContext"]]
            self.results.append((result["requestContext"], result["errorCode"]))
        return {"value": True}
