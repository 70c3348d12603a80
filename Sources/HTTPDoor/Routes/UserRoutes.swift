import ApusAccess
import ApusBroker
import ApusCore
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// Users who log in with passwords.
enum UserRoutes {
    private static let hashes = ScramHash.allCases

    static var all: [WebRoute] {
        [
            WebRoute(.get, "/v1/users", "List users and the mechanisms of their credentials") { request, context in
                _ = try Query(request.uri.query, names: [])
                let users: [Broker.ScramUser]
                do throws(BrokerError) {
                    users = try context.broker.describeScramUsers(nil, client: context.client).get()
                } catch {
                    throw Problem(error)
                }
                return Response.object { body in
                    body.writeJSONArray("items", users) { body, user in
                        body.writeJSONBraces {
                            $0.writeJSONMember("name", user.name)
                            $0.writeJSONArray("credentials", user.credentials ?? []) { body, credential in
                                body.writeJSONBraces {
                                    $0.writeJSONMember("mechanism", "SCRAM-\(credential.hash)")
                                    $0.writeJSONMember("iterations", credential.iterations)
                                }
                            }
                        }
                    }
                }
            },
            WebRoute(.put, "/v1/users/{user}", "Make a user, or give one a new password", body: .password) {
                try await self.set($0, $1)
            },
            WebRoute(.delete, "/v1/users/{user}", "Remove a user's credentials") { request, context in
                _ = try Query(request.uri.query, names: [])
                let name = try context.segment("user")
                // Who may not is told so, whether there is such a user or not.
                guard context.client.allows(.alter, on: .cluster) else {
                    throw Problem(BrokerError.clusterAuthorizationFailed)
                }
                guard let hashes = context.broker.access.users.hashes(of: ExactText(name)) else {
                    throw Problem(.userNotFound, "there is no user '\(name)'")
                }
                try await self.alter(name, hashes.map { ($0.rawValue, .delete) }, context)
                return Response(status: .noContent)
            },
        ]
    }

    /// The password is hashed here and now, with both mechanisms, and kept nowhere.
    private static func set(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        let name = try context.segment("user")
        return try await context.withFields(of: request, "a user", ["password"]) { fields in
            // First: hashing is work that not everybody may ask for.
            guard context.client.allows(.alter, on: .cluster) else {
                throw Problem(BrokerError.clusterAuthorizationFailed)
            }
            let password = try fields.required(
                "password", try fields.text("password", max: Limits.passwordBytesMax))
            if PasswordRefusal.refusal(of: password.utf8) != nil {
                throw fields.refusal(
                    "password", "is printable ASCII, 1 to \(Limits.passwordBytesMax.rawValue) characters")
            }
            var changes: [(Int8, ScramAlteration.Change)] = []
            for hash in self.hashes {
                changes.append((hash.rawValue, try self.change(password, hash, context)))
            }
            try await self.alter(name, changes, context)
            return Response(status: .noContent)
        }
    }

    private static func change(
        _ password: String, _ hash: ScramHash, _ context: WebContext
    ) throws(Problem) -> ScramAlteration.Change {
        let salt = context.door.randomBytes(Limits.scramSaltBytes.rawValue)
        let iterations = Limits.scramIterationsDefault
        guard let salted = hash.stretched(Secret(password.utf8), salt: salt, iterations: iterations) else {
            throw Problem(.internal, "the password can not be hashed")
        }
        return .upsert(iterations: iterations, salt: salt, saltedPassword: salted)
    }

    private static func alter(
        _ name: String, _ changes: [(Int8, ScramAlteration.Change)], _ context: WebContext
    ) async throws(Problem) {
        let lines = changes.map { ScramAlteration(user: name, mechanism: $0.0, change: $0.1) }
        typealias Answers = [(user: String, refusal: ScramAlterations.Refusal?)]
        let answers: Answers = try await context.ask { answer in
            context.broker.alterScramUsers(lines, client: context.client, on: context.loop, then: answer)
        }
        switch answers.first?.refusal {
        case nil: return
        case .userName: throw Problem(.invalidRequest, "'\(name)' can not be a user's name")
        case .notFound: throw Problem(.userNotFound, "there is no user '\(name)'")
        case .mechanism, .credential, .duplicate:
            throw Problem(.invalidRequest, "these credentials are not taken")
        }
    }
}
