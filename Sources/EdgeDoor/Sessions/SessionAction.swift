package import ApusCore
package import NIOCore
package import WebFormats

/// Tells one beginning of a subscription from another of the same channel, within a connection.
package struct SubscriptionToken: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

/// What an edge connection wants done.
package enum SessionAction: Sendable {
    /// Find out who this is, and tell ``EdgeSession/connected(_:)`` or ``EdgeSession/denied(_:)``.
    case authenticate(ClientOperation.Connect)
    /// See whether the client may, find where it begins, join the channel's hub, and tell
    /// ``EdgeSession/subscribed(_:to:_:)``. The same for a subscription that goes elsewhere in its channel (`seek`).
    case subscribe(SubscriptionToken, EdgeChannel, StartPoint)
    /// Leave the channel's hub, or give up joining it.
    case unsubscribe(EdgeChannel)
    /// Do what the broker does, and tell ``EdgeSession/answered(_:_:)``.
    case perform(RequestID?, ClientOperation)
    /// The client has these offsets of the channel, and what is in front of them.
    case acknowledge(EdgeChannel, PartitionIndex, Offset)
    /// One line, for this client only.
    case send(ByteBuffer)
    /// What all subscribers of the channel are sent.
    case push(Push)
    /// The client is given pushes of the channel again, and was not given these. Write `lagging` with the cursor of the
    /// channel as it stands now, and tell ``EdgeSession/owes(_:)`` how long that was.
    case tellLagging(EdgeChannel, [MissedRange])
    /// An empty line, which the client answers with one.
    case ping
    /// Write out what is owed if the socket takes it, and close with this code.
    case close(CloseReason)
}
