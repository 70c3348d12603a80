import ApusBroker
import ApusPresence
import NIOCore
package import WebFormats

/// The channels of `__presence` that tell of one other channel: `__presence/["news",*` is who comes to `news` and goes.
/// Who may read that one may read them, without a right to `__presence` itself.
package enum PresenceChannel {
    /// The channel that is told of; nil when it is none of these, or tells of several.
    package static func told(in channel: EdgeChannel) -> EdgeChannel? {
        guard channel.topic == InternalTopic.presence else { return nil }
        let start: ByteBuffer
        switch channel.selection {
        case .everything: return nil
        case .key(let key): start = key
        case .prefix(let prefix): start = prefix
        }
        // `try?`: what names no channel is told of to nobody.
        guard let name = PresenceRecord.channel(ofKeys: start), let told = try? EdgeChannel(name) else { return nil }
        // Who is in the channels of presence is not kept: no channel tells of itself.
        return told.topic == InternalTopic.presence ? nil : told
    }
}
