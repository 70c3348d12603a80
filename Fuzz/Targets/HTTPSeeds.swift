/// Requests to begin with: each verb, each kind of body, and what means no good.
enum HTTPSeeds {
    /// The first byte says in what pieces they come: 255 is all at once.
    static var all: [[UInt8]] {
        let texts = self.reads + self.writes.map { self.request($0.0, $0.1, $0.2) } + self.hostile
        return texts.enumerated().map { index, text in [index % 5 == 4 ? 3 : 255] + Array(text.utf8) }
    }

    private static let reads = [
        "GET /v1/topics?prefix=t&limit=2", "GET /v1/topics/t?offsets=true", "GET /v1/topics/t/records?from=-10&limit=5",
        "GET /v1/topics/t/records?from=@2026-11-20T10:00Z&partition=1&wait=1s&max_bytes=100",
        "GET /v1/topics/t/records?cursor=AAAA", "GET /v1/groups", "GET /v1/groups/g", "GET /v1/groups/g/lag",
        "DELETE /v1/groups/g", "GET /v1/subscriptions?owner=User:a&topic=t", "DELETE /v1/subscriptions/s",
        "GET /v1/users", "DELETE /v1/users/u", "GET /v1/acls?pattern=match&name=t", "DELETE /v1/acls?principal=User:a",
        "GET /v1/connections?limit=1", "DELETE /v1/connections/http-1", "GET /v1/tokens", "DELETE /v1/tokens/a",
        "GET /v1/channels/t%2Fa/presence", "GET /v1/channels/t/receipts", "GET /v1/whoami", "GET /v1/cluster",
        "GET /metrics", "GET /openapi.json", "GET /asyncapi.json", "GET /errors/forbidden", "GET /", "GET /livez",
        "GET /readyz", "HEAD /v1/topics", "DELETE /v1/topics/t", "OPTIONS *", "GET /%00%ff/../..?a=%0d%0a&a=1&&=",
    ].map { "\($0) HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" }

    private static let writes: [(String, String, String)] = [
        ("POST /v1/topics", "application/json", #"{"name":"u","partitions":3,"config":{"retention.ms":1000}}"#),
        ("PATCH /v1/topics/t", "application/merge-patch+json", #"{"partitions":4,"config":{"retention.ms":null}}"#),
        ("POST /v1/topics/t:trim", "application/json", #"{"before":"-1","partition":0}"#),
        ("POST /v1/topics/t/records", "application/json", #"{"records":[{"value":{"a":1},"key":"k"},{"text":"b"}]}"#),
        (
            "POST /v1/topics/t/records", "application/json",
            #"{"base64":"/w==","headers":[["a",null],["b",{"base64":""}]]}"#
        ),
        (
            "POST /v1/topics/t/records?acks=leader", "application/x-ndjson",
            "{\"value\":1}\n\n{\"deleted\":true}\nx\n{\"text\":\"b\"}"
        ),
        (
            "POST /v1/topics/t/records", "application/cloudevents+json",
            #"{"specversion":"1.0","id":"1","source":"/","type":"t"}"#
        ),
        (
            "POST /v1/topics/t/records", "application/cloudevents-batch+json",
            #"[{"specversion":"1.0","id":"1","source":"/","type":"t"}]"#
        ),
        (
            "POST /v1/topics/t/records",
            "text/plain\r\nApus-Key: k\r\nApus-Partition: 1\r\nApus-Header-a: b\r\nApus-Timestamp: 5", "hi"
        ),
        (
            "POST /v1/topics/t/records", "text/plain\r\nce-id: 1\r\nce-source: /\r\nce-type: t\r\nce-specversion: 1.0",
            "hi"
        ),
        ("POST /v1/topics/t/records", "text/plain\r\nIdempotency-Key: \"k\"\r\nPrefer: return=minimal", "hi"),
        (
            "POST /v1/subscriptions", "application/json",
            #"{"name":"s","pattern":"t.*","start":"@5","period":1,"delivery":"stream"}"#
        ),
        ("PATCH /v1/subscriptions/s", "application/json", #"{"topics":["t"],"version":1}"#),
        ("POST /v1/subscriptions/s:pull", "application/json", #"{"max":1,"wait":"10ms"}"#),
        (
            "POST /v1/subscriptions/s:ack", "application/json",
            #"{"positions":[{"topic":"t","partition":0,"offset":1}]}"#
        ),
        ("POST /v1/groups/s:seek", "application/json", #"{"to":"earliest","dry_run":true}"#),
        ("PUT /v1/users/u", "application/json", #"{"password":"abcdefgh"}"#),
        (
            "POST /v1/acls", "application/json",
            #"{"acls":[{"type":"topic","name":"a","principal":"User:a","operation":"read"}]}"#
        ),
        ("POST /v1/tokens", "application/json", #"{"name":"a","owner":"User:a","expires_in":1}"#),
        ("POST /v1/tickets", "application/json", "{}"),
    ]

    private static func request(_ line: String, _ type: String, _ body: String) -> String {
        "\(line) HTTP/1.1\r\nHost: localhost\r\nContent-Type: \(type)\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private static let post = "POST /v1/topics/t/records HTTP/1.1\r\nHost: localhost\r\n"

    private static let hostile = [
        "GET / HTTP/1.1\r\n" + String(repeating: "a: b\r\n", count: 9_000),
        "GET / HTTP/1.1\r\nHost: localhost\r\nx: " + String(repeating: "y", count: 40_000) + "\r\n\r\n",
        "GET /" + String(repeating: "a/", count: 20_000) + " HTTP/1.1\r\n\r\n",
        post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: a\r\n\r\n",
        post + "Transfer-Encoding: chunked\r\n\r\n1;" + String(repeating: "x=y;", count: 15_000),
        post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        post + "Content-Length: 99999999999\r\n\r\nabc",
        post + "Content-Length: -1\r\n\r\n", post + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
        post + "Content-Type: application/json\r\nContent-Length: 2000\r\n\r\n" + String(repeating: "[", count: 2000),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nX: a\r b\nY: c\r\n\r\n",
        "GET / HTTP/0.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", "\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nabc",
        String(repeating: "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", count: 300),
    ]
}
