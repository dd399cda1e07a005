// Classifies an image over HTTP.
//
// mcs HttpExample.cs -r:System.Net.Http.dll -r:Newtonsoft.Json.dll
// mono HttpExample.exe IMAGE [SERVICE]    IMAGE: a file or an http(s) URL

using System;
using System.Globalization;
using System.IO;
using System.Net.Http;
using System.Text;
using Newtonsoft.Json.Linq;

static class HttpExample
{
    static int Main(string[] args)
    {
        string image = args[0];
        string service = args.Length > 1 ? args[1] : "http://localhost:8080";
        if (!image.StartsWith("http://") && !image.StartsWith("https://"))
        {
            image = Convert.ToBase64String(File.ReadAllBytes(image));
        }
        var request = new JObject
        {
            { "image", image },
            { "inferenceParams", new JObject { { "topK", 5 } } },
        };
        var body = new StringContent(request.ToString(), Encoding.UTF8, "application/json");
        using (var client = new HttpClient { Timeout = TimeSpan.FromSeconds(60) })
        {
            // Where the worker asks for a token, add:
            // client.DefaultRequestHeaders.Add("Authorization", "Bearer " + token);
            HttpResponseMessage response =
                client.PostAsync(service + "/image-classification", body).Result;
            JObject answer = JObject.Parse(response.Content.ReadAsStringAsync().Result);
            if ((int)answer["errorCode"] != 0)
            {
                Console.Error.WriteLine("{0}: {1}", answer["errorCode"], answer["errorMsg"]);
                return 1;
            }
            foreach (JToken one in answer["result"]["categories"])
            {
                Console.WriteLine(string.Format(
                    CultureInfo.InvariantCulture, "{0:F5}  {1}", (double)one["score"], one["name"]));
            }
            File.WriteAllBytes(
                "classified.jpg", Convert.FromBase64String((string)answer["result"]["image"]));
        }
        return 0;
    }
}
