package import ApusBroker
package import ApusPresence
package import NIOCore
package import WebFormats
import ApusCore

/// What is asked about a channel: which one, and which page. The same at a broker and at an endpoint server of its own.
package struct ChannelWish: Sendable {
    package let channel: EdgeChannel
    /// Behind which the page begins; nil: the first.
    package let place: Int64?
    package let limit: Int

    /// - Parameters:
    ///   - name: the channel's, decoded.
    ///   - query: what stands behind the question mark.
    package init(_ name: String, query text: String?) throws(Problem) {
        let query = try Query(text, names: ["limit", "cursor"])
        do throws(ChannelNameError) { self.channel = try EdgeChannel(name) } catch { throw Problem(error) }
        let limit = try query.integer("limit", 1...Int64(Limits.presencePageMax))
        self.limit = Int(limit ?? Int64(Limits.presencePageDefault))
        guard let text = try query.pageStart() else {
            self.place = nil
            return
        }
        guard let number = Int64(text) else { throw Problem(.invalidCursor, "this is no cursor of this list") }
        self.place = number
    }

    /// Reads a path of a broker's, `/v1/channels/{channel}/presence` or `…/receipts`; nil for others.
    package static func parse(
        path: Substring, query: String?
    ) throws(Problem) -> (wish: ChannelWish, isReceipts: Bool)? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "v1", parts[2] == "channels",
            parts[4] == "presence" || parts[4] == "receipts"
        else { return nil }
        guard let name = PercentText.decoded(parts[3]) else {
            throw Problem(.invalidRequest, "the path is not percent-encoded UTF-8")
        }
        return (try ChannelWish(name, query: query), parts[4] == "receipts")
    }
}

/// The answers, as JSON.
package enum ChannelBodies {
    package static func presence(_ page: PresencePage, of channel: EdgeChannel) -> ByteBuffer {
        self.object(page, of: channel) { body in
            body.writeJSONArray("items", page.members) { body, member in
                body.writeJSONBraces {
                    self.write(member, into: &$0)
                    if let since = member.since { $0.writeJSONMember("since", since.rawValue) }
                }
            }
        }
    }

    package static func receipts(_ found: ReceiptPage, of channel: EdgeChannel) -> ByteBuffer {
        self.object(found.page, of: channel) { body in
            body.writeJSONArray("items", found.page.members) { body, member in
                body.writeJSONBraces { body in
                    self.write(member, into: &body)
                    body.writeJSONArray("seen", member.seen) { body, seen in
                        body.writeJSONBraces { self.write(seen, end: found.ends[seen.partition], into: &$0) }
                    }
                }
            }
        }
    }

    private static func object(
        _ page: PresencePage, of channel: EdgeChannel, _ write: (inout ByteBuffer) -> Void
    ) -> ByteBuffer {
        var body = ByteBuffer()
        body.writeJSONBraces { body in
            body.writeJSONMember("channel", channel.description)
            body.writeJSONMember("count", page.count)
            body.writeJSONMember("complete", page.isComplete)
            write(&body)
            if let next = page.next { body.writeJSONPage(next: String(next)) }
        }
        return body
    }

    private static func write(_ member: PresenceMember, into body: inout ByteBuffer) {
        body.writeJSONMember("user", member.guest.user)
        body.writeJSONMember("client", member.guest.client)
        body.writeJSONMember("conn", member.connection)
        body.writeJSONMember("node", member.node)
        body.writeJSONMember("life", member.life)
    }

    private static func write(_ seen: PresenceSeen, end: Offset?, into body: inout ByteBuffer) {
        body.writeJSONMember("partition", seen.partition.rawValue)
        body.writeJSONMember("offset", seen.next.rawValue - 1)
        body.writeJSONMember("at", seen.at.rawValue)
        if let end { body.writeJSONMember("behind", max(0, end.rawValue - seen.next.rawValue)) }
    }
}
