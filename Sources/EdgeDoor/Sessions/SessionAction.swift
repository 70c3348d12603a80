import ApusCore
package import NIOCore
package import WebFormats

/// Tells one beginning of a subscription from another of the same channel, within a connection. They grow.
package struct SubscriptionToken: RawRepresentable, Hashable, Comparable, Sendable {
    package var rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    package static func < (left: SubscriptionToken, right: SubscriptionToken) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// Where a subscription begins.
package struct SubscriptionStart: Sendable {
    package var cursor: SealedCursor
    /// What a client that resumes is not given.
    package var gaps: [ResumeGap]
    /// Nil: it begins with what comes live.
    package var catchUp: CatchUp?
    /// Where the client may confirm what it has seen: what it is given is counted from there.
    package var given: GivenRecords?

    package init(cursor: SealedCursor, gaps: [ResumeGap] = [], catchUp: CatchUp? = nil) {
        self.cursor = cursor
        self.gaps = gaps
        self.catchUp = catchUp
    }
}

/// What an edge connection wants done.
package enum SessionAction: Sendable {
    /// Find out who this is, and tell ``EdgeSession/connected(_:)`` or ``EdgeSession/denied(_:)``.
    case authenticate(ClientOperation.Connect)
    /// See whether the client may, find where it begins, join the channel's hub, and tell
    /// ``EdgeSession/subscribed(_:_:)``. The same for a subscription that goes elsewhere in its channel (`seek`).
    case subscribe(SubscriptionToken, EdgeChannel, StartPoint)
    /// Leave the channel's hub, or give up joining it; give up the read that is under way for it.
    case unsubscribe(SubscriptionToken, EdgeChannel)
    /// Read this for the channel, and tell ``EdgeSession/found(_:_:)``.
    case read(SubscriptionToken, EdgeChannel, PastReading)
    /// Do what the broker does, and tell ``EdgeSession/answered(_:_:)``.
    case perform(RequestID?, ClientOperation)
    /// One line, for this client only.
    case send(ByteBuffer)
    /// An event, for this client only.
    case tell(EdgeEvent)
    /// Records of a channel: mostly what all its subscribers are sent.
    case push(Push)
    /// The client is given pushes of the channel again, and was not given these. Write `lagging` with the cursor of the
    /// channel as it stands now, and tell ``EdgeSession/owes(_:)`` how long that was.
    case tellLagging(SubscriptionToken, EdgeChannel, [MissedRange])
    /// Ask the client for a sign of life.
    case ping
    /// Write out what is owed if the socket takes it, and close with this code.
    case close(CloseReason)
}

/// What becomes of a live push for one client. No array: this is asked for every socket of every push.
package enum PushAnswer: Sendable {
    case push
    case leaveOut
    case act([SessionAction])
}
