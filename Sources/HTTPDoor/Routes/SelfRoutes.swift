import ApusAccess
import ApusBroker
import ApusCore
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// Who asks, and whom he asks.
enum SelfRoutes {
    static var all: [WebRoute] {
        [
            WebRoute(.get, "/v1/whoami", "Who asks, as the broker sees it") { request, context in
                _ = try Query(request.uri.query, names: [])
                return Response.object { body in
                    body.writeJSONMember("principal", context.client.principal.description)
                    body.writeJSONMember("address", context.client.address)
                    body.writeJSONMember("authenticated", context.client.principal != .anonymous)
                    if let session = context.session {
                        body.writeJSONMember("mechanism", session.word)
                        if let expires = session.expires { body.writeJSONMember("expires", expires.rawValue) }
                    }
                    body.writeJSONMember("unrestricted", context.client.access.isUnrestricted)
                }
            },
            WebRoute(.get, "/v1/cluster", "The cluster and its brokers") { request, context in
                _ = try Query(request.uri.query, names: [])
                let identity = context.broker.identity
                return Response.object { body in
                    body.writeJSONMember("cluster_id", identity.clusterID)
                    body.writeJSONMember("controller", identity.brokerID.rawValue)
                    body.writeJSONArray("brokers", [identity.brokerID]) { body, broker in
                        body.writeJSONBraces { member in
                            member.writeJSONMember("id", broker.rawValue)
                            member.writeJSONObject("endpoints") { endpoints in
                                for (name, endpoint) in context.broker.endpoints.sorted(by: { $0.key < $1.key }) {
                                    endpoints.writeJSONName(quoting: name)
                                    endpoints.writeJSONString("\(endpoint.host):\(endpoint.port)")
                                }
                            }
                        }
                    }
                    body.writeJSONMember("version", context.door.configuration.version)
                }
            },
        ]
    }
}
