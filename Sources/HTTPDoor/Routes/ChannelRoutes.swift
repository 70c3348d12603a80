import ApusBroker
import ApusCore
import ApusPresence
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// Channels of the endpoint servers: who is in them, and who has seen what. A slash in a channel's name is `%2F` here.
enum ChannelRoutes {
    private static let paging = [("limit", "connections of a page"), ("cursor", "`next` of the page before")]

    static var all: [WebRoute] {
        [
            WebRoute(
                .get, "/v1/channels/{channel}/presence", "Who is in a channel, in the order in which they came",
                query: self.paging
            ) { try await self.presence($0, $1) },
            WebRoute(
                .get, "/v1/channels/{channel}/receipts", "Up to where connections have seen a channel's records",
                query: self.paging
            ) { try await self.receipts($0, $1) },
        ]
    }

    private static func presence(_ request: Request, _ context: WebContext) async throws -> Response {
        let (channel, place, limit) = try self.wish(request, context)
        let page: PresencePage = try await context.ask { then in
            context.broker.presence(
                of: channel.description, behind: place, upTo: limit, client: context.client, on: context.loop,
                then: then)
        }
        return Response.object { body in
            body.writeJSONMember("channel", channel.description)
            body.writeJSONMember("count", page.count)
            body.writeJSONMember("complete", page.isComplete)
            body.writeJSONArray("items", page.members) { body, member in
                body.writeJSONBraces {
                    Self.write(member, into: &$0)
                    if let since = member.since { $0.writeJSONMember("since", since.rawValue) }
                }
            }
            self.writePage(page, into: &body)
        }
    }

    private static func receipts(_ request: Request, _ context: WebContext) async throws -> Response {
        let (channel, place, limit) = try self.wish(request, context)
        let found: ReceiptPage = try await context.ask { then in
            context.broker.receipts(
                of: channel.description, behind: place, upTo: limit, client: context.client, on: context.loop,
                then: then)
        }
        return Response.object { body in
            body.writeJSONMember("channel", channel.description)
            body.writeJSONMember("count", found.page.count)
            body.writeJSONMember("complete", found.page.isComplete)
            body.writeJSONArray("items", found.page.members) { body, member in
                body.writeJSONBraces { body in
                    Self.write(member, into: &body)
                    body.writeJSONArray("seen", member.seen) { body, seen in
                        body.writeJSONBraces { Self.write(seen, end: found.ends[seen.partition], into: &$0) }
                    }
                }
            }
            self.writePage(found.page, into: &body)
        }
    }

    private static func wish(
        _ request: Request, _ context: WebContext
    ) throws(Problem) -> (channel: EdgeChannel, place: Int64?, limit: Int) {
        let query = try Query(request.uri.query, names: ["limit", "cursor"])
        let channel: EdgeChannel
        let name = try context.segment("channel")
        do throws(ChannelNameError) { channel = try EdgeChannel(name) } catch { throw Problem(error) }
        let limit = try query.integer("limit", 1...Int64(Limits.presencePageMax))
        var place: Int64?
        if let text = try query.pageStart() {
            guard let number = Int64(text) else { throw Problem(.invalidCursor, "this is no cursor of this list") }
            place = number
        }
        return (channel, place, Int(limit ?? Int64(Limits.presencePageDefault)))
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

    private static func writePage(_ page: PresencePage, into body: inout ByteBuffer) {
        if let next = page.next { body.writeJSONPage(next: String(next)) }
    }
}
