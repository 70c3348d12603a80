import ApusBroker
import ApusCore
import NIOCore

/// What AlterConfigs and IncrementalAlterConfigs share: resources that contradict the protocol are refused here, the
/// others are the broker's, and the answers come in the order of the request.
struct ConfigurationPlan: Sendable {
    struct Asked: Sendable {
        var type: Int8
        var name: String
        var alteration: Result<ConfigurationAlteration, BrokerError>
    }

    struct Outcome: Sendable {
        var type: Int8
        var name: String
        var error: BrokerError?
    }

    private var outcomes: [Outcome] = []
    private var alterations: [(resource: ConfigurationResource, alteration: ConfigurationAlteration)] = []

    init(_ asked: [Asked], broker: BrokerID) {
        let resources = asked.map { asked in
            Result { () throws(BrokerError) in
                try ConfigurationResource(type: asked.type, name: asked.name, broker: broker)
            }
        }
        let counts = Dictionary(grouping: resources.compactMap { try? $0.get() }) { $0 }.mapValues(\.count)
        for (asked, resource) in zip(asked, resources) {
            var outcome = Outcome(type: asked.type, name: asked.name, error: nil)
            do throws(BrokerError) {
                let resource = try resource.get()
                guard counts[resource] == 1 else { throw .invalidRequest("The resource is in the request twice.") }
                self.alterations.append((resource, try asked.alteration.get()))
            } catch {
                outcome.error = error
            }
            self.outcomes.append(outcome)
        }
    }

    func run(
        on broker: Broker, validateOnly: Bool, _ client: ClientContext, _ loop: any EventLoop,
        then: @escaping @Sendable ([Outcome]) -> Void
    ) {
        broker.alterConfigurations(
            self.alterations, validateOnly: validateOnly, client: client, on: loop
        ) { [outcomes] errors in
            var outcomes = outcomes
            var errors = errors[...]
            for index in outcomes.indices where outcomes[index].error == nil {
                guard let error = errors.popFirst() else { preconditionFailure("an answer for every resource") }
                outcomes[index].error = error
            }
            then(outcomes)
        }
    }
}
