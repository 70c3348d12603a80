import Crypto
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// The page for people at `/`: topics, a live tail of one, a form to publish. One file, `console.html`, inside the
/// program; it asks nobody but this server.
///
/// **Records come from anybody.** The page makes text of them and nothing else; besides, the policy that goes with it
/// lets no script and no style run but the two in the file, by their digests, and no request leave for elsewhere
/// (CSP level 3).
enum ConsolePage {
    static var all: [WebRoute] {
        [
            WebRoute(.get, "/", "A page for people: topics, records as they come, publishing", isOpen: true) { _, _ in
                Response(status: .ok, headers: self.headers, body: ResponseBody(byteBuffer: self.content))
            }
        ]
    }

    static let content = ByteBuffer(bytes: PackageResources.console_html)

    private static let headers: HTTPFields = {
        var headers = HTTPFields()
        headers[.contentType] = "text/html; charset=utf-8"
        headers[.cacheControl] = "no-cache"
        headers[.contentSecurityPolicy] = ConsolePage.policy(of: String(buffer: ConsolePage.content))
        headers[.xContentTypeOptions] = "nosniff"
        headers[.referrerPolicy] = "no-referrer"
        return headers
    }()

    static func policy(of page: String) -> String {
        let rules = [
            "default-src 'none'", "script-src \(self.digests(of: "script", in: page))",
            "style-src \(self.digests(of: "style", in: page))", "img-src data:", "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'", "frame-ancestors 'none'",
        ]
        return rules.joined(separator: "; ")
    }

    /// The digests of what stands in elements of this name, none of which has attributes.
    private static func digests(of element: String, in page: String) -> String {
        page.components(between: "<\(element)>", and: "</\(element)>").map { text in
            let digest = ByteBuffer(bytes: Array(SHA256.hash(data: Array(text.utf8))))
            return "'sha256-\(Base64.standard.encoded(digest))'"
        }.joined(separator: " ")
    }
}

extension HTTPField.Name {
    static let referrerPolicy = HTTPField.Name("Referrer-Policy") ?? .cacheControl
}

extension String {
    /// The texts between each pair of these.
    fileprivate func components(between start: String, and end: String) -> [Substring] {
        self.split(separator: start, omittingEmptySubsequences: false).dropFirst().compactMap { part in
            part.firstRange(of: end).map { part[..<$0.lowerBound] }
        }
    }
}
