/// Every bound of the system, by name and with its unit, on by default (decision D14). A full queue refuses; it does
/// not grow.
public enum Limits {
    // MARK: The wire

    /// The longest frame taken from a client, in bytes, without its length prefix. Kafka allows 100 MiB; the largest
    /// batch is far smaller than that, and a frame is memory that somebody else pays for.
    public static let frameBytesMax = ByteCount.mebibytes(16)
    /// The longest request but Produce, in bytes. A batch stays bytes; the lists of the others become values, about 30
    /// bytes of memory for each byte received (28.3 is the most that `make fuzz` has seen).
    public static let plainRequestBytesMax = ByteCount.mebibytes(4)
    /// The longest answer to one fetch, in bytes, whatever the client asks for (one batch may go over it, KIP-74).
    public static let fetchBytesMax = ByteCount.mebibytes(16)
    /// The longest answer, in bytes, to a client that reads at `quickReaderBytesPerSecond`: one more round trip costs
    /// it next to nothing, and what fits into a core's own cache is read, checked and sent for less.
    public static let fetchBytesQuick = ByteCount.mebibytes(1)
    /// Who takes an answer and asks for the next at this rate is on this machine, or as good as.
    public static let quickReaderBytesPerSecond = 1 << 30
    /// The smallest answer, in bytes, that tells how quick its reader is.
    public static let readerPaceBytesMin = ByteCount.kibibytes(256)
    /// How long a fetch may be parked.
    public static let fetchWaitMax = Duration.seconds(60)
    /// Requests of one connection that are read and not yet answered. Reading stops at this number.
    public static let requestsInFlightMax = 1000

    // MARK: Connections

    /// Client connections of one listener.
    public static let connectionsMax = 10_000
    /// Client connections from one address. Loopback is not counted: there, everybody has the same.
    public static let connectionsPerAddressMax = 256
    /// Connections the kernel holds until they are accepted.
    public static let listenBacklog: Int32 = 4096
    /// The first reads of a connection, in bytes: these buffers stay for the connection's life.
    public static let readBytesFirst = ByteCount.bytes(512)
    /// What a read of a quiet connection asks for, and the room behind a long frame for the start of the next.
    public static let readBytesMin = ByteCount.kibibytes(2)
    /// What a read of a busy connection asks for. Longer frames are read into buffers of their own.
    public static let readBytesMax = ByteCount.kibibytes(64)
    /// Unsent bytes of one connection from which on nothing more is handled for it.
    public static let unsentBytesHigh = ByteCount.mebibytes(2)
    /// Unsent bytes of one connection below which it goes on.
    public static let unsentBytesLow = ByteCount.mebibytes(1)
    /// Answers of one connection that wait for an earlier one, in bytes; from here on no more requests are handled.
    public static let repliesWaitingBytesMax = ByteCount.mebibytes(4)
    /// Memory for what fetches read and clients have not taken yet, all connections together. Beyond it fetches wait.
    public static let replyMemoryDefault = ByteCount.mebibytes(256)
    /// While more than half of it is taken, one fetch reads at most this part of the rest, so that many get some.
    public static let replyMemorySharesMin = 64
    /// Bytes that a fetch may read however little memory for answers is left: a socket's own buffer mostly takes them.
    public static let fetchBytesShort = ByteCount.kibibytes(64)
    /// The smallest answer, in bytes, that is counted against `replyMemoryDefault`.
    public static let replyBytesCountedMin = ByteCount.kibibytes(16)
    /// How often connections are looked at. The other times of this section are whole numbers of it.
    public static let connectionSweepPeriod = Duration.seconds(1)
    /// A frame that was begun must bring `halfFrameBytesMin`, or its end, in each time of this length.
    public static let halfFrameWaitMax = Duration.seconds(10)
    /// The same while three quarters of the memory for requests are taken.
    public static let halfFrameShortWaitMax = Duration.seconds(2)
    /// See `halfFrameWaitMax`. Together 1 KiB a second.
    public static let halfFrameBytesMin = ByteCount.kibibytes(10)
    /// A connection on which nothing comes and nothing is asked is closed then (Kafka's `connections.max.idle.ms`).
    public static let connectionIdleMax = Duration.seconds(600)
    /// A client that takes nothing of the answers that are there is cut off then. Long, because clients read when their
    /// program polls, and programs may work on a batch for minutes.
    public static let unreadReplyWaitMax = Duration.seconds(300)
    /// The same while answers take half of `replyMemoryDefault` and fetches wait for it.
    public static let unreadReplyShortWaitMax = Duration.seconds(5)
    /// How long a stopping listener waits for the answers under way.
    public static let drainWaitMax = Duration.seconds(5)
    /// Log lines about what clients did, for each event loop and sweep; beyond it they are counted.
    public static let peerLogLinesPerSweepMax = 10
    /// Characters of such a line.
    public static let peerLogCharactersMax = 512
    /// Fetch sessions kept (Kafka's `max.incremental.fetch.session.cache.slots`).
    public static let fetchSessionsMax = 1000
    /// A fetch session unused for so long is forgotten (Kafka: min.incremental.fetch.session.eviction.ms).
    public static let fetchSessionIdleMax = Duration.seconds(120)
    /// Partitions in the fetch sessions of one event loop, all together.
    public static let fetchSessionPartitionsMax = 100_000
    /// Partitions in one answer to DescribeTopicPartitions (Kafka's `max.request.partition.size.limit`).
    public static let describedPartitionsMax = 2000

    // MARK: Access

    /// The longest frame, in bytes, from a client that has not logged in (Kafka's `sasl.server.max.receive.size`).
    public static let unauthenticatedFrameBytesMax = ByteCount.kibibytes(512)
    /// Requests that a client may send before it has logged in.
    public static let unauthenticatedRequestsMax = 16
    /// How long a client may take to log in.
    public static let loginWaitMax = Duration.seconds(10)
    /// How long a failed login waits for its answer (Kafka's `connection.failed.authentication.delay.ms`).
    public static let failedLoginDelay = Duration.milliseconds(100)
    /// A session that is younger may not log in again (Kafka's number).
    public static let reauthenticationWaitMin = Duration.seconds(1)
    /// Bytes of the name in a principal.
    public static let principalNameBytesMax = ByteCount.bytes(255)
    /// Bytes of a password.
    public static let passwordBytesMax = ByteCount.bytes(1024)
    /// The longest message of a SCRAM login, in bytes.
    public static let scramMessageBytesMax = ByteCount.kibibytes(4)
    /// Attributes or pairs in one message of a login.
    public static let saslAttributesMax = 32
    /// The fewest iterations of a SCRAM credential (RFC 7677, Kafka).
    public static let scramIterationsMin: Int32 = 4096
    /// The most: every login costs a client, and with PLAIN the broker, about half a microsecond for each.
    public static let scramIterationsMax: Int32 = 1_000_000
    /// The iterations of a new SCRAM credential, where nobody says otherwise.
    public static let scramIterationsDefault: Int32 = 16_384
    /// The shortest salt of a SCRAM credential, in bytes.
    public static let scramSaltBytesMin = ByteCount.bytes(8)
    /// The longest.
    public static let scramSaltBytesMax = ByteCount.bytes(128)
    /// The salt of a new SCRAM credential, where nobody brings one.
    public static let scramSaltBytes = ByteCount.bytes(32)
    /// The longest bearer token, in bytes.
    public static let tokenBytesMax = ByteCount.kibibytes(16)
    /// The longest message that brings one, in bytes.
    public static let bearerMessageBytesMax = ByteCount.kibibytes(20)
    /// How far a token's issuer's clock and ours may be apart.
    public static let tokenClockSkewMax = Duration.seconds(30)
    /// Identity providers whose tokens are taken.
    public static let tokenIssuersMax = 16
    /// Keys in an identity provider's key set.
    public static let tokenKeysPerIssuerMax = 64
    /// The longest key set, in bytes.
    public static let tokenKeySetBytesMax = ByteCount.kibibytes(256)
    /// ACLs of a cluster.
    public static let aclsMax = 100_000
    /// Bytes of a resource's name in an ACL: as long as a group or transactional id may be.
    public static let aclNameBytesMax = ByteCount.kibibytes(1)
    /// Rates of quotas that are kept for clients, each a bucket; more client ids of a user share one.
    public static let quotaBucketsMax = 10_000
    /// How often buckets that nobody uses are forgotten.
    public static let quotaSweepPeriod = Duration.seconds(10)
    /// The lowest rate of a quota, a second: one thing in a quarter of an hour. Below it nobody can tell a quota from a
    /// denial, and numbers near zero are of no use to calculate with.
    public static let quotaRateMin = 1e-3
    /// The highest rate of a quota, a second.
    public static let quotaRateMax = 1e15
    /// What may be done at once, in the time in which a quota gives as much.
    public static let quotaBurst = Duration.seconds(2)
    /// The longest that a client is made to wait.
    public static let throttleMax = Duration.seconds(30)
    /// Bytes a second, each way, of a user without a quota.
    public static let quotaBytesDefault: Double = 4 * 1024 * 1024 * 1024
    /// Partitions a second that a user without a quota may create or delete.
    public static let quotaMutationsDefault: Double = 10_000
    /// Connections that have to log in and have not yet.
    public static let unauthenticatedConnectionsMax = 1_000
    /// New connections a second, from everywhere but loopback.
    public static let acceptsPerSecondMax: Double = 2_000
    /// New connections a second from one address.
    public static let acceptsPerSecondPerAddressMax: Double = 100
    /// New connections at once, in the time in which the rate gives as many.
    public static let acceptBurst = Duration.seconds(3)
    /// How long a connection waits until it is served because its address is over a quota that somebody made; more are
    /// turned away. Clients wait ten seconds for their first answer.
    public static let acceptDelayMax = Duration.seconds(5)
    /// Arrays and objects inside one another in a token or a key set.
    public static let jsonDepthMax = 16

    // MARK: The log

    /// Kafka's `max.message.bytes` default: the largest batch, in bytes.
    public static let batchBytesDefault = ByteCount.bytes(1_048_588)
    /// Kafka's `segment.bytes` default.
    public static let segmentBytesDefault = ByteCount.gibibytes(1)
    /// Kafka's `segment.bytes` lower bound; smaller would make files by the thousand.
    public static let segmentBytesMin = ByteCount.kibibytes(16)
    /// Kafka's `segment.ms` default.
    public static let segmentAgeDefault = Duration.seconds(7 * 24 * 3600)
    /// Kafka's `retention.ms` default.
    public static let retentionAgeDefault = Duration.seconds(7 * 24 * 3600)
    /// Batches remembered for each idempotent producer of a partition (Kafka's own number; clients keep 5 in flight).
    public static let producerBatchesKept = 5
    /// Idempotent producers remembered for each partition; the one that wrote least recently is forgotten first.
    public static let producersPerPartitionMax = 10_000
    /// Bytes of batches between two entries of a segment's sparse index.
    public static let indexIntervalBytes = ByteCount.kibibytes(32)
    /// Bytes written to a log after which a checkpoint bounds what recovery has to scan.
    public static let checkpointBytes = ByteCount.mebibytes(64)
    /// A closing log writes a checkpoint only if recovery would otherwise have to scan more than this.
    public static let closeScanBytesMax = ByteCount.mebibytes(1)
    /// The most that a segment file is set aside beyond what is written to it.
    public static let segmentAllocationStepMax = ByteCount.mebibytes(32)
    /// The least; a topic with one record takes one file of this size.
    public static let segmentAllocationStepMin = ByteCount.kibibytes(4)
    /// The longest index file that is read: a segment of the largest size has less.
    public static let indexFileBytesMax = ByteCount.mebibytes(8)
    /// The longest `state` file of a log that is read.
    public static let stateFileBytesMax = ByteCount.mebibytes(64)
    /// The longest list of ends that is read, of 38 million logs.
    public static let endsFileBytesMax = ByteCount.gibibytes(1)
    /// The longest segment file: positions in it fit into 32 bits.
    public static let segmentFileBytesMax = ByteCount.bytes(Int(UInt32.max))
    /// Kafka's `producer.id.expiration.ms`.
    public static let producerIdleMax = Duration.seconds(24 * 3600)

    /// Bytes after which a journal file is full; there are two.
    public static let journalBytesDefault = ByteCount.mebibytes(64)
    /// What one log may have written for its sync to go through the journal, in bytes; more is synced in its own file.
    /// There a second copy of the bytes costs as much as an fdatasync (`docs/decisions/0004`).
    public static let journalEntryBytesMax = ByteCount.kibibytes(32)
    /// The longest entry that is looked for in a journal file, in bytes: what a damaged length may make a replay read.
    public static let journalEntryFileBytesMax = ByteCount.mebibytes(1)
    /// What a replay reads of a journal file at once, in bytes.
    public static let journalReadBytes = ByteCount.mebibytes(1)
    /// Findings about a damaged journal that are told one by one.
    public static let journalFindingsMax = 20
    /// Logs in one group from which on the journal is worth its second copy of the bytes.
    public static let journalGroupMin = 4
    /// Files synced at once when a journal file is checkpointed.
    public static let checkpointSyncsInFlight = 8

    /// New logs whose first files are made together, at most: so many files are open for it, and so many wait for the
    /// slowest of them.
    public static let birthsPerGroupMax = 256
    /// Groups of new logs that one shard has with the disk at once: names are made for one while the other is synced.
    public static let birthGroupsInFlightMax = 2
    /// New logs in a group from which on one sync of the whole file system is cheaper than one for each file and
    /// directory. Below it, others' unwritten bytes are not waited for.
    public static let birthsSyncedAsOneMin = 16

    // MARK: Groups

    /// Kafka's `group.min.session.timeout.ms` and `group.max.session.timeout.ms`: what a member may ask for.
    public static let groupSessionTimeout = Duration.seconds(6)...Duration.seconds(1800)
    /// The longest time that a group waits for its members to join again, whatever they ask for.
    public static let groupRebalanceTimeoutMax = Duration.seconds(24 * 3600)
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members after the first, and again
    /// when some came in that time. Kafka's is three seconds; members that start together come within less.
    public static let groupInitialDelayDefault = Duration.milliseconds(500)
    /// How long a member that is new waits for its first generation, however long the others may take to join again.
    /// Then its place is given up: it may be gone, and has not shown itself since.
    public static let groupNewMemberWaitMax = Duration.seconds(300)
    /// Members of one group, those included that were given a name and have not come with it yet.
    public static let groupMembersMax = 10_000
    /// Groups of the classic protocol that one coordinator keeps, and groups that have positions. With 50 coordinators
    /// a million groups in all, ten times what the catalogue takes as subscriptions. A group with one member takes some
    /// KiB, so what clients can make a broker keep stays within a few GiB.
    public static let groupsPerCoordinatorMax = 20_000
    /// Bytes of a group's name, which stands in front of each of its positions. Kafka allows 32 KiB.
    public static let groupNameBytesMax = 255
    /// Characters of a static member's name (Kafka's number).
    public static let groupInstanceCharactersMax = 249
    /// Bytes of a client id that are kept for a member: in its name, and for those who look at the group.
    public static let groupClientBytesMax = 255
    /// Assignment protocols of one member. Clients have two or three.
    public static let groupProtocolsMax = 32
    /// Bytes of a protocol's or a protocol type's name.
    public static let groupProtocolNameBytesMax = 255
    /// What the members of one group have told and were given, in bytes. The group's record holds a part of it, and one
    /// batch must hold the record.
    public static let groupStateBytesMax = ByteCount.mebibytes(8)
    /// Kafka's `offset.metadata.max.bytes`, in bytes of UTF-8.
    public static let offsetMetadataBytesMax = 4096
    /// Kafka's `offsets.retention.minutes`, seven days: how long positions outlive their group's last member.
    public static let offsetsRetentionDefault = Duration.seconds(7 * 24 * 3600)
    /// Positions that one OffsetCommit sets. They are one batch of `__consumer_offsets`.
    public static let positionsPerCommitMax = 10_000
    /// Positions of one group.
    public static let positionsPerGroupMax = 1_000_000
    /// The shortest time between two looks for positions of a group that have expired (Kafka's
    /// `offsets.retention.check.interval.ms`).
    public static let offsetsExpiryPeriod = Duration.seconds(600)
    /// Records that are written at once when positions expire or are deleted, so that a batch holds them.
    public static let groupRecordsPerWriteMax = 1000
    /// Groups whose time has come that a coordinator looks at in one go.
    public static let groupsPerTickMax = 1000

    // MARK: The broker

    /// Partitions of one topic.
    public static let partitionsPerTopicMax = 10_000
    /// Characters of a topic name (Kafka's number: a directory name must hold it and a partition number).
    public static let topicNameCharactersMax = 249
    /// Memory for requests that are being read or handled, all connections together. Sockets are not read beyond it.
    public static let requestMemoryDefault = ByteCount.mebibytes(256)
    /// Memory for what reads of the broker's own process find, all together. Beyond it they wait.
    public static let readMemoryDefault = ByteCount.mebibytes(256)
    /// Memory for the newest batches, kept for readers at the tail.
    public static let tailCacheDefault = ByteCount.mebibytes(128)
    /// Files held open at once by the disk while enough of them are idle.
    public static let openFilesMax = 700
    /// Uses of other files, for each of `openFilesMax`, after which a file is idle.
    public static let openFileIdleUsesPerFile: UInt64 = 4
    /// Files held open at once by the disk, in all, when every one of them is busy.
    public static let openFilesHotMax = 8000
    /// A write of so many bytes into the page cache may be done on an event loop; handing it to a thread and back costs
    /// more.
    public static let shortWriteBytesMax = ByteCount.kibibytes(64)
    /// Short work that took longer waited for something.
    public static let shortWorkMax = Duration.milliseconds(1)
    /// How long event loops then leave short work to the disk threads.
    public static let shortWorkRest = Duration.milliseconds(250)
    /// Bytes of one fetch that an event loop reads itself when the page cache has them: about a tenth of a millisecond.
    public static let cachedReadBytesMax = ByteCount.mebibytes(1)
    /// Bytes behind a read that the page cache must have for an event loop to read itself: the kernel reads ahead in
    /// windows of 128 KiB to 8 MiB (`read_ahead_kb`), and begins the next while the last is used.
    public static let readAheadBytesMax = ByteCount.mebibytes(16)
    /// Reads of a partition that go to the disk threads after one that the page cache did not have.
    public static let readsNotCached = 15
    /// Segments that one partition's part of a fetch answer is read from.
    public static let fetchSegmentsMax = 16
    /// Threads that do disk work. Each waits for the device most of its life; many let many partitions sync at once.
    public static let diskThreadsDefault = 16
    /// For so many of them there is another one, for cold reads alone: these never take a thread from a write.
    public static let diskThreadsPerColdReader = 2
    /// The niceness of those threads: a tenth of the processor's time where all of it is wanted, and the loop that a
    /// write has woken need not wait until they have used up their turn.
    public static let coldReaderNiceness: Int32 = 10
    /// Threads that do disk work, at most.
    public static let diskThreadsMax = 1024
    /// Event loops of one server, at most.
    public static let loopsMax = 1024
    /// How often the free space is looked at, to give the ballast back or take it again.
    public static let ballastLookPeriod = Duration.seconds(1)
    /// Space set aside in the data directory, given back when the disk is full so that metadata can still be written.
    public static let ballastBytes = ByteCount.mebibytes(8)
    /// Free space below which produce is refused so that offsets and metadata can still be written.
    public static let freeBytesFloorDefault = ByteCount.mebibytes(64)

    /// How often retention looks at each partition (spread over the partitions, so no moment has all of them).
    public static let retentionSweepPeriod = Duration.seconds(60)
    /// How often partitions that nobody uses are opened for retention.
    public static let patrolPeriod = Duration.seconds(3600)
    /// Partitions that one shard opens for it in a second.
    public static let patrolPartitionsPerSecond = 20
    /// Partitions that one shard looks at for it in a second, those of other shards included.
    public static let patrolStepsPerSecond = 10_000
    /// The step of a shard's timer wheel: how late a parked fetch or a produce time-out may be.
    public static let wheelTick = Duration.milliseconds(10)
    /// Partitions that a shard keeps open; the one used least recently is closed first.
    public static let partitionsOpenPerShardMax = 2_000
    /// How long a partition that nobody uses stays open.
    public static let partitionIdleMax = Duration.seconds(300)
    /// Requests that wait for one partition to be opened.
    public static let openWaitersPerPartitionMax = 10_000
    /// Produce bytes of one partition that are not yet written; more are refused until the disk catches up.
    public static let unwrittenBytesPerPartitionMax = ByteCount.mebibytes(64)
    /// The longest value of a configuration option, in bytes.
    public static let configurationValueBytesMax = ByteCount.kibibytes(4)
    /// Topics that one commit to the coordinator store creates, deletes or changes.
    public static let topicsPerCommitMax = 1_000
    /// Requests to the topic registry that wait for the coordinator store.
    public static let registryRequestsWaitingMax = 10_000
    /// Producer ids taken from the coordinator store at a time.
    public static let producerIDBlock: Int64 = 1_000

    // MARK: Consumer groups

    /// A member that says nothing for so long is out (Kafka's `group.consumer.session.timeout.ms`).
    public static let consumerSessionTimeoutDefault = Duration.seconds(45)
    /// How often members of a settled group speak (Kafka's `group.consumer.heartbeat.interval.ms`).
    public static let consumerHeartbeatIntervalDefault = Duration.seconds(5)
    /// How often they speak while their group is moving.
    public static let consumerHeartbeatIntervalMoving = Duration.milliseconds(500)
    /// For each member of a group that is moving, the least time between two heartbeats of one of them: all together
    /// say no more than 2,000 in a second.
    public static let movingPausePerMember = Duration.microseconds(500)
    /// How long a group counts as moving after its members or topics changed.
    public static let consumerGroupMovingTime = Duration.seconds(3)
    /// Members of one consumer group (Kafka's `group.consumer.max.size`, which has no bound there).
    public static let consumerGroupMembersMax = 10_000
    /// See `ConsumerGroupSettings.assignmentPausePerMember`: 20 ms for 1,000 members.
    public static let assignmentPausePerMember = Duration.microseconds(20)
    /// Partitions of a group that count for that pause as one member: each costs the assignment so much less.
    public static let partitionsPausedAsMember = 8
    /// The longest that a member may take to give partitions up.
    public static let rebalanceTimeoutMax = Duration.seconds(24 * 3600)
    /// How exactly sessions end: members are looked through at most so often.
    public static let sessionCheckPause = Duration.milliseconds(100)
    /// Bytes of each name in a heartbeat of the consumer protocol: of group, member, instance, rack and client.
    public static let consumerNameBytesMax = 1024
    /// Topics that one member names.
    public static let topicNamesPerMemberMax = 10_000
    /// Topics that the members of one group name in different lists, all together.
    public static let topicNamesPerGroupMax = 100_000
    /// Consumer groups (KIP-848) of one partition of `__consumer_offsets`: as many as `groupsPerCoordinatorMax`.
    public static let consumerGroupsMax = 20_000
    /// Changes of topics that groups can catch up with one by one; a group further behind looks at all its topics.
    public static let topicChangesKept = 10_000
    /// Regular expressions of one group's members.
    public static let topicPatternsPerGroupMax = 100
    /// Bytes of a regular expression that subscribes to topics.
    public static let topicPatternBytesMax = 1024
    /// Steps of such an expression when its repetitions are written out.
    public static let topicPatternStepsMax = 1000
    /// Steps of matching that an event loop does at once, a few milliseconds; more is done off the loop.
    public static let topicPatternStepsInline = 1_000_000

    // MARK: The catalogue

    /// The name of a subscription, in bytes of UTF-8. A Kafka client may call its group anything; longer is refused.
    public static let subscriptionNameBytesMax = ByteCount.bytes(255)
    /// The name of a consumer (a principal), in bytes of UTF-8.
    public static let catalogueConsumerNameBytesMax = ByteCount.bytes(255)
    /// What a consumer's entry says for people, in bytes of UTF-8.
    public static let consumerDetailsBytesMax = ByteCount.kibibytes(4)
    /// Consumers of a catalogue.
    public static let consumersMax = 100_000
    /// Subscriptions of a catalogue. Brokers hold all of them in memory.
    public static let subscriptionsMax = 100_000
    /// Subscriptions of one consumer. Without authentication all consumer groups belong to one.
    public static let subscriptionsPerConsumerMax = 20_000
    /// Topics that one subscription names; more take a pattern.
    public static let topicsPerSubscriptionMax = 1_000
    /// A pattern of topic names, in bytes.
    public static let subscriptionPatternBytesMax = ByteCount.bytes(249)
    /// The shortest period a subscription may ask for.
    public static let subscriptionPeriodMin = Duration.seconds(1)
    /// The longest period a subscription may ask for: ten years. A topic's own ceiling is mostly lower.
    public static let subscriptionPeriodMax = Duration.seconds(3650 * 24 * 3600)
    /// The shortest time after which an unused subscription is removed.
    public static let subscriptionExpiryMin = Duration.seconds(1)
    /// The longest: ten years.
    public static let subscriptionExpiryMax = Duration.seconds(3650 * 24 * 3600)
    /// A consumer group that nobody uses for so long is forgotten (Kafka's `offsets.retention.minutes`).
    public static let groupSubscriptionExpiry = Duration.seconds(7 * 24 * 3600)
    /// After a start, no subscription and no group's position expires before their readers had so long to come back.
    public static let subscriptionGraceAfterStart = Duration.seconds(600)
    /// How often a use of a subscription is noted in the catalogue, at most; sooner when it expires sooner.
    public static let subscriptionUseNotedPeriod = Duration.seconds(60)
    /// Subscriptions that the answer to "who has not read it" names; the rest are counted.
    public static let readersNamedMax = 20
    /// A filter's text, in bytes.
    public static let filterBytesMax = ByteCount.kibibytes(1)
    /// Conditions of one filter.
    public static let filterConditionsMax = 16
    /// A push endpoint's address, in bytes.
    public static let pushEndpointBytesMax = ByteCount.kibibytes(2)
    /// Changes of one commit to the catalogue.
    public static let catalogueChangesMax = 1_000
    /// Items of one page of a list of the catalogue.
    public static let cataloguePageMax = 1_000
    /// Topics that the subscriptions of one page name together; the page ends behind the one that goes over it.
    public static let cataloguePageTopicsMax = 20_000
    /// Commits that a catalogue keeps for watches that begin a moment after the read they follow.
    public static let catalogueHistoryMax = 4_096
    /// The catalogue's database file, in bytes.
    public static let catalogueBytesDefault = ByteCount.gibibytes(1)
    /// Entries of the audit trail; the oldest go first.
    public static let auditEntriesMax = 100_000
    /// What one audit entry says of a change, in bytes; the rest is cut.
    public static let auditDetailBytesMax = ByteCount.kibibytes(4)
    /// The reason that is given with a change, in bytes.
    public static let auditReasonBytesMax = ByteCount.bytes(512)
}
