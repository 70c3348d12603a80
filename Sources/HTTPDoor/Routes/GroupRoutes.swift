import ApusBroker
import ApusCore
import ApusGroups
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// Consumer groups: list, describe, lag, seek, remove.
enum GroupRoutes {
    static var all: [WebRoute] {
        [
            WebRoute(
                .get, "/v1/groups", "List consumer groups, in the order of their names",
                query: [("limit", "items of a page"), ("cursor", "`next` of the page before")]
            ) { try await self.list($0, $1) },
            WebRoute(.get, "/v1/groups/{group}", "Describe a group and its members") {
                try await self.describe($0, $1)
            },
            WebRoute(.get, "/v1/groups/{group}/lag", "How far behind a group is, in each partition") {
                request, context in
                _ = try Query(request.uri.query, names: [])
                return try await GroupLag.response(context.group(), context)
            },
            WebRoute(.post, "/v1/groups/{group}:seek", "Move a group that has no members", body: .seek) {
                try await self.seek($0, $1, group: try $1.group())
            },
            WebRoute(.delete, "/v1/groups/{group}", "Remove a group and its positions") { request, context in
                _ = try Query(request.uri.query, names: [])
                let group = try context.group()
                let errors = await context.wait { (then: @escaping @Sendable ([GroupError?]) -> Void) in
                    context.broker.deleteGroups([group], client: context.client, on: context.loop, then: then)
                }
                if let error = errors[0] { throw Problem(error, group: group.rawValue) }
                return Response(status: .noContent)
            },
        ]
    }

    // MARK: List and describe

    private static func list(_ request: Request, _ context: WebContext) async throws -> Response {
        let query = try Query(request.uri.query, names: ["limit", "cursor"])
        let limit = try query.pageItems()
        let after = try query.pageStart()
        typealias Listings = Result<[GroupCoordinator.Listing], GroupError>
        let listed = await context.wait { (then: @escaping @Sendable (Listings) -> Void) in
            context.broker.listGroups(client: context.client, on: context.loop, then: then)
        }
        let groups: [GroupCoordinator.Listing]
        do throws(GroupError) { groups = try listed.get() } catch { throw Problem(error, group: "") }
        let found = groups.filter { group in after.map { $0 < group.group.rawValue } ?? true }
        return Response.object { body in
            body.writeJSONArray("items", found.prefix(limit)) { body, group in
                body.writeJSONBraces {
                    $0.writeJSONMember("name", group.group.rawValue)
                    $0.writeJSONMember("kind", group.kind.rawValue)
                    $0.writeJSONMember("state", group.state)
                    $0.writeJSONMember("protocol_type", group.protocolType)
                }
            }
            if found.count > limit { body.writeJSONPage(next: found[limit - 1].group.rawValue) }
        }
    }

    private static func describe(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        let group = try context.group()
        typealias Classic = [Result<ClassicDescription?, GroupError>]
        let classic = await context.wait { (then: @escaping @Sendable (Classic) -> Void) in
            context.broker.describeGroups([group], client: context.client, on: context.loop, then: then)
        }
        typealias Consumer = [Result<ConsumerGroupDescription, GroupError>]
        do throws(GroupError) {
            if let found = try classic[0].get() { return self.response(group, found) }
            let consumer = await context.wait { (then: @escaping @Sendable (Consumer) -> Void) in
                context.broker.consumerGroupDescribe([group], client: context.client, on: context.loop, then: then)
            }
            return self.response(try consumer[0].get())
        } catch {
            throw Problem(error, group: group.rawValue)
        }
    }

    private static func response(_ group: GroupID, _ found: ClassicDescription) -> Response {
        Response.object { body in
            body.writeJSONMember("name", group.rawValue)
            body.writeJSONMember("kind", "classic")
            body.writeJSONMember("state", found.state)
            body.writeJSONMember("assignor", found.protocolName)
            body.writeJSONArray("members", found.members) { body, member in
                body.writeJSONBraces {
                    $0.writeJSONMember("id", member.id.rawValue)
                    $0.writeJSONMember("client_id", member.client.clientID)
                    $0.writeJSONMember("host", member.client.host)
                }
            }
        }
    }

    private static func response(_ found: ConsumerGroupDescription) -> Response {
        Response.object { body in
            body.writeJSONMember("name", found.id.rawValue)
            body.writeJSONMember("kind", "consumer")
            body.writeJSONMember("state", found.state.rawValue)
            body.writeJSONMember("epoch", found.epoch.rawValue)
            body.writeJSONArray("members", found.members) { body, member in
                body.writeJSONBraces { fields in
                    fields.writeJSONMember("id", member.id.rawValue)
                    fields.writeJSONMember("client_id", member.profile.client.clientID)
                    fields.writeJSONMember("host", member.profile.client.host)
                    fields.writeJSONArray("assigned", member.assignment) { body, topic in
                        body.writeJSONBraces {
                            $0.writeJSONMember("topic", topic.name)
                            $0.writeJSONArray("partitions", topic.partitions) { $0.writeJSONInteger($1) }
                        }
                    }
                }
            }
        }
    }

    // MARK: Seek

    static func seek(_ request: Request, _ context: WebContext, group: GroupID) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        return try await context.withFields(of: request, "a seek", ["to", "topic", "partition", "dry_run"]) { fields in
            guard let value = fields.value("to"),
                let text = value.kind == .number ? String(buffer: value.bytes) : value.text,
                let place = StartPoint(text), place != .lastValues
            else { throw fields.refusal("to", "is 'earliest', 'latest', an offset, '-100', or '@' and a time") }
            let isTrial = fields.value("dry_run")?.boolean ?? false
            let only = try fields.partition()
            var moves: [GroupLag.Move] = []
            if let name = try fields.text("topic", max: Limits.channelNameBytesMax) {
                let topic = try TopicRoutes.topic(.name(name), context)
                let partitions = only.map { [$0] } ?? topic.partitions.map(\.index)
                moves = try await GroupLag.moves(of: topic, partitions, to: place, context)
            } else {
                guard only == nil else { throw Problem(.invalidRequest, "a partition is one of a topic: name it") }
                for (name, held) in try await GroupLag.positions(of: group, context) {
                    let topic = try TopicRoutes.topic(.name(name), context)
                    moves += try await GroupLag.moves(of: topic, held.map(\.partition), to: place, context)
                }
            }
            guard !moves.isEmpty else {
                throw Problem(.groupNotFound, "the group '\(group)' has no positions", hint: "name a topic")
            }
            if !isTrial { try await GroupLag.commit(moves, for: group, context) }
            return Response.object { body in
                body.writeJSONMember("moved", !isTrial)
                body.writeJSONArray("partitions", moves) { body, move in
                    body.writeJSONBraces {
                        $0.writeJSONMember("topic", move.topic)
                        $0.writeJSONMember("partition", move.partition.rawValue)
                        $0.writeJSONMember("position", move.offset.rawValue)
                    }
                }
            }
        }
    }
}

extension WebContext {
    fileprivate func group() throws(Problem) -> GroupID { GroupID(try self.segment("group")) }
}
