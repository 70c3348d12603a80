import ApusAccess
import ApusBroker
import ApusCore
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// Rules: who may do what with what.
enum AclRoutes {
    private static let names = ["type", "pattern", "name", "principal", "host", "operation", "permission"]

    static var all: [WebRoute] {
        let filters = [
            ("type", "topic, group, cluster, …"),
            ("pattern", "literal, prefixed, or match: what decides about the name"),
            ("name", "of the resource"), ("principal", "like User:alice"), ("host", "an address, or *"),
            ("operation", "read, write, …"), ("permission", "allow or deny"),
        ]
        return [
            WebRoute(.get, "/v1/acls", "List rules", query: filters) { request, context in
                let filter = try self.filter(try Query(request.uri.query, names: self.names))
                do throws(BrokerError) {
                    return self.response(try context.broker.describeAcls(filter, client: context.client).get())
                } catch {
                    throw Problem(error)
                }
            },
            WebRoute(.post, "/v1/acls", "Make rules; those that are there already stay", body: .rules) {
                try await self.create($0, $1)
            },
            WebRoute(.delete, "/v1/acls", "Remove the rules that the parameters show", query: filters) {
                try await self.delete($0, $1)
            },
        ]
    }

    private static func create(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        return try await context.withFields(of: request, "a change of rules", ["acls"]) { fields in
            let elements = try fields.elements("acls", max: Limits.aclFiltersPerRequestMax) ?? []
            guard !elements.isEmpty else { throw fields.refusal("acls", "is an array with one rule at least") }
            var acls: [Acl] = []
            for element in elements {
                let object: JSONObject
                do throws(JSONFault) { object = try element.object() } catch { throw Problem(error) }
                acls.append(try self.acl(try FieldReader(object, of: "a rule", names: self.names)))
            }
            let rules = acls
            let _: Bool = try await context.ask { answer in
                context.broker.createAcls(rules, client: context.client, on: context.loop) { error in
                    answer(error.map { .failure($0) } ?? .success(true))
                }
            }
            return self.response(rules)
        }
    }

    private static func delete(_ request: Request, _ context: WebContext) async throws -> Response {
        let query = try Query(request.uri.query, names: self.names)
        // All rules at once are removed by nobody who means it.
        guard self.names.contains(where: { query.text($0) != nil }) else {
            throw Problem(.invalidRequest, "name what is to be removed", hint: "DELETE /v1/acls?principal=User:alice")
        }
        let filter = try self.filter(query)
        let removed: [[Acl]] = try await context.ask { answer in
            context.broker.deleteAcls([filter], client: context.client, on: context.loop, then: answer)
        }
        return self.response(removed.flatMap(\.self))
    }

    // MARK: Reading

    private static func acl(_ fields: FieldReader) throws(Problem) -> Acl {
        func text(_ name: String) throws(Problem) -> String? { try fields.text(name, max: Limits.aclNameBytesMax) }
        let type = try self.type(try fields.required("type", try text("type")))
        let kind = try self.kind(try text("pattern") ?? "literal")
        let name = try fields.required(
            "name", try text("name") ?? (type == .cluster ? Resource.clusterName.text : nil))
        guard let principal = Principal(parsing: try fields.required("principal", try text("principal"))) else {
            throw fields.refusal("principal", "is like User:alice")
        }
        guard let host = AclHost(try text("host") ?? "*") else { throw fields.refusal("host", "is an address or *") }
        let operation = try self.operation(try fields.required("operation", try text("operation")))
        let permission = try self.permission(try text("permission") ?? "allow")
        do throws(AclRefusal) {
            return try Acl(ResourcePattern(type, kind, ExactText(name)), principal, host, operation, permission)
        } catch {
            throw Problem(.invalidRequest, "\(error)")
        }
    }

    private static func filter(_ query: Query) throws(Problem) -> AclFilter {
        var filter = AclFilter()
        if let type = query.text("type") { filter.type = try self.type(type) }
        if let pattern = query.text("pattern") {
            filter.patternKind = pattern == "match" ? .match : .only(try self.kind(pattern))
        }
        filter.name = query.text("name").map { ExactText($0) }
        filter.principal = query.text("principal").map { ExactText($0) }
        filter.host = query.text("host")
        if let operation = query.text("operation") { filter.operation = try self.operation(operation) }
        if let permission = query.text("permission") { filter.permission = try self.permission(permission) }
        return filter
    }

    private static let types: [(String, ResourceType)] = [
        ("topic", .topic), ("group", .group), ("cluster", .cluster), ("transactional-id", .transactionalID),
        ("delegation-token", .delegationToken), ("user", .user), ("subscription", .subscription),
    ]

    static var typeNames: [String] { self.types.map(\.0) }

    private static func type(_ text: String) throws(Problem) -> ResourceType {
        guard let found = self.types.first(where: { $0.0 == text }) else {
            throw Problem(.invalidRequest, "'type' is one of \(self.types.map(\.0).joined(separator: ", "))")
        }
        return found.1
    }

    private static func kind(_ text: String) throws(Problem) -> ResourcePattern.Kind {
        switch text {
        case "literal": return .literal
        case "prefixed": return .prefixed
        default: throw Problem(.invalidRequest, "'pattern' is literal or prefixed")
        }
    }

    private static func operation(_ text: String) throws(Problem) -> AccessOperation {
        guard let operation = AccessOperation(text) else {
            let names = AccessOperation.allCases.map(\.description).joined(separator: ", ")
            throw Problem(.invalidRequest, "'operation' is one of \(names)")
        }
        return operation
    }

    private static func permission(_ text: String) throws(Problem) -> AccessPermission {
        switch text {
        case "allow": return .allow
        case "deny": return .deny
        default: throw Problem(.invalidRequest, "'permission' is allow or deny")
        }
    }

    private static func response(_ acls: [Acl]) -> Response {
        Response.object { body in
            body.writeJSONArray("items", acls) { body, acl in
                body.writeJSONBraces {
                    $0.writeJSONMember("type", self.types.first { $0.1 == acl.pattern.type }?.0 ?? "unknown")
                    $0.writeJSONMember("pattern", acl.pattern.kind == .literal ? "literal" : "prefixed")
                    $0.writeJSONMember("name", acl.pattern.name.text)
                    $0.writeJSONMember("principal", acl.principal.description)
                    $0.writeJSONMember("host", acl.host.description)
                    $0.writeJSONMember("operation", acl.operation.description)
                    $0.writeJSONMember("permission", acl.permission == .allow ? "allow" : "deny")
                }
            }
        }
    }
}
