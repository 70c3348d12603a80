import ApusCore

/// The bounds of what an endpoint server asks of brokers elsewhere, by name and with their units.
enum UpstreamLimits {
    /// How often the rules, and the topics that are in use, are asked for.
    static let lookPeriod = Duration.seconds(1)
    /// What is known of a topic is believed for so long; then it is asked for again. It bounds how late a topic that
    /// was made, deleted or grown elsewhere is seen.
    static let topicAgeMax = Duration.seconds(2)
    /// A topic that nobody asked for is forgotten.
    static let topicIdleMax = Duration.seconds(60)
    /// Topics that are known, and names that are known to be none.
    static let topicsMax = 100_000
    /// Names that are asked for while others wait for theirs.
    static let topicQuestionsMax = 10_000
    /// Names in one request.
    static let topicsPerRequestMax = 1_000
    /// Rules that were not heard to hold for so long are no rules: nothing is read or written by them. With
    /// ``lookPeriod``, and the second in which connections look at their rights, a right that was taken away is gone
    /// within 5 s whatever fails.
    static let rulesAgeMax = Duration.seconds(4)
    /// How long brokers keep a fetch that found nothing, if nothing is asked behind it.
    static let pollWait = Duration.seconds(20)
    /// Fetches that wait for records which one broker has at once: the one that waits, and one behind it with who has
    /// come since. Who comes while both are under way is in the next.
    static let pollsInFlightMax = 2
    /// Who was given records reads on at once; the next such fetch is put off for him by this at most.
    static let returnWait = Duration.milliseconds(1)
    /// A broker that had no room for a fetch session is asked for one again after this.
    static let sessionAgainWait = Duration.seconds(10)
    /// Longest time for an answer, besides what a request itself waits.
    static let answerWaitMax = Duration.seconds(10)
    /// Reads by place that a broker has at once; others wait here. Their answers stand in front of live records.
    static let readsInFlightMax = 8
    /// Reads by place that wait for their turn at one broker, before more are refused.
    static let readsWaitingMax = 100_000
    /// The most bytes of one answer with live records; one batch may go over it.
    static let pollBytesMax = ByteCount.mebibytes(16)
    /// What could not be read is answered late, so that who asks again at once does not spin.
    static let failureWait = Duration.milliseconds(250)
}
