import ApusAccess
import ApusBroker
import ApusGroups
import KafkaWire

extension Exchange {
    /// Who the client is, for the member it becomes: the address as Kafka writes it.
    var identity: ClientIdentity { ClientIdentity(clientID: self.client.clientID, host: "/\(self.client.address)") }

    /// What the client may do with a group: the value of an `authorizedOperations` field.
    func operations(on group: GroupID) -> Int32 {
        self.client.access.operations(on: Resource(.group, ExactText(group.rawValue))).rawValue
    }
}
