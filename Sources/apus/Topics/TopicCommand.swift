import ArgumentParser

/// `apus topic …`.
struct TopicCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topic",
        abstract: "Make, show, change and remove topics.",
        subcommands: [
            TopicCreate.self, TopicList.self, TopicDescribe.self, TopicSet.self, TopicGrow.self, TopicTrim.self,
            TopicRemove.self, TopicOffsets.self, TopicReaders.self,
        ]
    )
}
