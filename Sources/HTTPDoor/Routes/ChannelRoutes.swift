import ApusBroker
import ApusPresence
import HTTPTypes
import Hummingbird
import HummingbirdCore
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
        let wish = try ChannelWish(try context.segment("channel"), query: request.uri.query)
        let page: PresencePage = try await context.ask { then in
            context.broker.presence(
                of: wish.channel.description, behind: wish.place, upTo: wish.limit, client: context.client,
                on: context.loop, then: then)
        }
        return Response(json: ChannelBodies.presence(page, of: wish.channel))
    }

    private static func receipts(_ request: Request, _ context: WebContext) async throws -> Response {
        let wish = try ChannelWish(try context.segment("channel"), query: request.uri.query)
        let found: ReceiptPage = try await context.ask { then in
            context.broker.receipts(
                of: wish.channel.description, behind: wish.place, upTo: wish.limit, client: context.client,
                on: context.loop, then: then)
        }
        return Response(json: ChannelBodies.receipts(found, of: wish.channel))
    }
}
