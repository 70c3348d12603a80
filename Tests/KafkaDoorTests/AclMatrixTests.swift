import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOEmbedded
import Testing

@testable import KafkaDoor

/// Every API that is served, asked by everybody there can be: whoever did not log in, a user without rights, users with
/// one right each, with just what an API takes, and a super user; in the lowest and the highest version.
@Suite("The matrix of rights")
struct AclMatrixTests {
    /// Who asks.
    private struct Somebody: CustomStringConvertible {
        var principal = DoorBench.alice
        var rights: [Right] = []
        var description: String

        func may(_ needs: [[Right]]) -> Bool {
            self.principal == DoorBench.root
                || needs.contains { need in need.allSatisfy { part in self.rights.contains { $0.includes(part) } } }
        }
    }

    private static let everybody: [Somebody] = {
        var all = [
            Somebody(principal: .anonymous, description: "anonymous"), Somebody(description: "no right"),
            Somebody(principal: DoorBench.root, description: "super user"),
        ]
        // Of delegation tokens there are no rules.
        for type in ResourceType.allCases where type != .delegationToken {
            for operation in AccessOperation.allCases {
                let right = Right(operation, type)
                all.append(Somebody(rights: [right], description: "\(right)"))
            }
        }
        let pairs = Set(ApiRights.all.flatMap(\.needs).filter { $0.count > 1 })
        for pair in pairs { all.append(Somebody(rights: pair, description: "\(pair)")) }
        return all
    }()

    private static let served = ApiTable.standard.all.filter { !ApiRights.login.contains($0.key) }

    @Test("the table of rights names every API that is served")
    func complete() {
        let named = Set(ApiRights.all.map(\.key))
        for api in Self.served {
            #expect(named.contains(api.key), "\(api.key) is served, and ApiRights does not say what it takes")
        }
    }

    @Test("every API allows whom the table allows, and nobody else")
    func matrix() throws {
        var checked = 0
        var wrong: [String] = []
        for somebody in Self.everybody {
            let bench = try DoorBench.authorizing()
            try bench.change(
                somebody.rights.map { right in
                    try DoorBench.rule(
                        right.operation, right.type, right.type == .cluster ? "kafka-cluster" : "*")
                })
            for api in Self.served {
                for row in ApiRights.all where row.key == api.key {
                    for version in Set([api.versions.lowerBound, api.versions.upperBound]) {
                        let name = "t-\(api.key.rawValue)-\(row.what)-\(version)"
                        bench.broker.create([TopicSpecification(name: name)], client: .embedded, on: bench.loop) { _ in
                        }
                        bench.loop.run()
                        try bench.connect()
                        try bench.become(somebody.principal)
                        let isDenied = try row.isDenied(bench, name, version)
                        checked += 1
                        if isDenied != !somebody.may(row.needs) {
                            let told = isDenied.map { $0 ? "denied" : "allowed" } ?? "not answered"
                            wrong.append("\(api.key) v\(version) \(row.what): \(somebody) is \(told)")
                        }
                    }
                }
            }
        }
        print(
            "ACL matrix: \(Self.served.count) APIs × \(Self.everybody.count) clients, \(checked) cells checked, "
                + "\(wrong.count) wrong")
        #expect(wrong.isEmpty, "\(wrong.prefix(40).joined(separator: "\n"))")
    }
}
