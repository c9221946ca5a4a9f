// Parses answers with the client of openapi-generator; prints answer name -> what was parsed as JSON.
// Usage: ParseAnswersKt ANSWERS (JSON file) CLASSES (names of the generated API classes, separated by commas)

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.io.File
import java.lang.reflect.Method
import org.openapitools.client.infrastructure.Serializer

/** Return operation -> function of the client. Functions with a `$` are overloads for default arguments. */
fun listOperations(classes: List<String>): Map<String, Method> =
    classes.flatMap { Class.forName("org.openapitools.client.apis.$it").declaredMethods.toList() }
        .filter { "$" !in it.name }
        .associateBy { it.name }

/** Return the JSON of the object that an operation of the client returns for a body, null if it returns none. */
fun parseAnswer(operations: Map<String, Method>, answer: JsonObject): JsonElement? {
    val operation = operations.getValue(answer["operation"].asString)
    if (operation.returnType == Void.TYPE) return null
    return Serializer.gson.toJsonTree(Serializer.gson.fromJson<Any>(answer["body"], operation.genericReturnType))
}

fun main(arguments: Array<String>) {
    val operations = listOperations(arguments[1].split(","))
    val results = JsonObject()
    for (answer in JsonParser.parseString(File(arguments[0]).readText()) as JsonArray) {
        val result = JsonObject()
        try {
            result.add("parsed", parseAnswer(operations, answer.asJsonObject))
        } catch (exception: RuntimeException) {
            result.addProperty("error", exception.toString())
        }
        results.add(answer.asJsonObject["name"].asString, result)
    }
    println(results)
}
