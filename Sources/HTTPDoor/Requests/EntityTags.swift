import ApusBroker
import HTTPTypes
import Hummingbird
import HummingbirdCore
import WebFormats

/// Tags that say which state of a thing somebody has seen (RFC 9110, sections 8.8.3 and 13.1.1).
enum EntityTags {
    static func written(_ tag: TopicTag) -> String {
        let digits = String(tag.rawValue, radix: 16)
        return "\"" + String(repeating: "0", count: 16 - digits.count) + digits + "\""
    }

    /// The states of a topic in one of which `If-Match` wants it; nil: in any. A weak tag, or one of somebody else's,
    /// is of no state that there is.
    static func expected(of request: Request) throws(Problem) -> Set<TopicTag>? {
        guard let text = request.headers[.ifMatch] else { return nil }
        if text == "*" { return nil }
        var tags: Set<TopicTag> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let blanks: Set<Character> = [" ", "\t"]
            let tag = String(part.drop { blanks.contains($0) }.reversed().drop { blanks.contains($0) }.reversed())
            guard tag.hasSuffix("\""), tag.hasPrefix("\"") || tag.hasPrefix("W/\""), tag.utf8.count >= 2 else {
                throw Problem(.invalidRequest, "'If-Match' is '*', or tags as 'ETag' has them, between commas")
            }
            let inner = tag.dropFirst().dropLast()
            if tag.hasPrefix("\""), inner.utf8.count == 16, let value = UInt64(inner, radix: 16) {
                tags.insert(TopicTag(rawValue: value))
            }
        }
        return tags
    }
}
