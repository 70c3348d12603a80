import ApusBroker

extension ServerError {
    init(_ error: BrokerError) {
        switch error {
        case .unknownTopicOrPartition: self.init(.unknownTopic, "there is no such topic or partition", cause: error)
        case .unknownTopicID: self.init(.unknownTopic, "there is no topic with this id", cause: error)
        case .topicExists(let text): self.init(.topicExists, text, cause: error)
        case .offsetOutOfRange(let start, let end):
            self.init(.offsetOutOfRange, "the partition holds \(start) to \(end)", cause: error)
        case .batchTooLarge(let size, let limit), .batchLargerThanSegment(let size, let limit):
            self.init(.tooLarge, "\(size) are too much, \(limit) are the limit", cause: error)
        case .storage(let text): self.init(.disk, text, cause: error, isRetryable: false)
        case .storageUnknown(let text):
            self.init(.disk, text, cause: error, isRetryable: false, isIndefinite: true)
        case .storageFull: self.init(.disk, "the disk is full", cause: error, isRetryable: true)
        case .storeUnavailable(let text): self.init(.disk, text, cause: error, isRetryable: true)
        case .storeUnknown(let text):
            self.init(.disk, text, cause: error, isRetryable: false, isIndefinite: true)
        case .timedOut:
            self.init(.timedOut, "not done in time", cause: error, isRetryable: true, isIndefinite: true)
        case .overloaded(let text): self.init(.overloaded, text, cause: error, isRetryable: true)
        case .shuttingDown: self = .stopped
        default: self.init(.invalid, "\(error)", cause: error)
        }
    }

    static let stopped = ServerError(.shuttingDown, "the server is stopping, or has stopped")
}
