/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/tasks.h"
#include "daemon/base/text.h"

#include <string.h>

static const struct task tasks[] = {
	{ "ForCausalLM", "text-generation", "AutoModelForCausalLM", "AutoTokenizer" },
	{ "LMHeadModel", "text-generation", "AutoModelForCausalLM", "AutoTokenizer" },
	{ "ForMaskedLM", "fill-mask", "AutoModelForMaskedLM", "AutoTokenizer" },
	{ "ForPreTraining", "fill-mask", "AutoModelForPreTraining", "AutoTokenizer" },
	{ "ForSequenceClassification", "text-classification", "AutoModelForSequenceClassification",
	  "AutoTokenizer" },
	{ "ForTokenClassification", "token-classification", "AutoModelForTokenClassification",
	  "AutoTokenizer" },
	{ "ForQuestionAnswering", "question-answering", "AutoModelForQuestionAnswering",
	  "AutoTokenizer" },
	{ "ForMultipleChoice", "multiple-choice", "AutoModelForMultipleChoice", "AutoTokenizer" },
	{ "ForImageClassification", "image-classification", "AutoModelForImageClassification",
	  "AutoImageProcessor" },
	{ "ForObjectDetection", "object-detection", "AutoModelForObjectDetection",
	  "AutoImageProcessor" },
	{ "ForSemanticSegmentation", "image-segmentation", "AutoModelForSemanticSegmentation",
	  "AutoImageProcessor" },
	{ "ForDepthEstimation", "depth-estimation", "AutoModelForDepthEstimation",
	  "AutoImageProcessor" },
	{ "ForAudioClassification", "audio-classification", "AutoModelForAudioClassification",
	  "AutoFeatureExtractor" },
	{ "ForCTC", "automatic-speech-recognition", "AutoModelForCTC", "AutoProcessor" },
	{ "CLIPModel", "zero-shot-image-classification", "AutoModelForZeroShotImageClassification",
	  "AutoProcessor" },
	{ "VisionEncoderDecoderModel", "image-to-text", "AutoModelForImageTextToText",
	  "AutoTokenizer" },
	{ "Model", "feature-extraction", "AutoModel", "AutoTokenizer" },
};

/* One class for what is done with different things. */
static const struct task speech = { "ForConditionalGeneration", "automatic-speech-recognition",
				    "AutoModelForSpeechSeq2Seq", "AutoProcessor" };
static const struct task sight = { "ForConditionalGeneration", "image-text-to-text",
				   "AutoModelForImageTextToText", "AutoProcessor" };
static const struct task text = { "ForConditionalGeneration", "text2text-generation",
				  "AutoModelForSeq2SeqLM", "AutoTokenizer" };

static const struct task *conditional(const struct jval *config)
{
	const char *type = jval_get_str(config, "model_type");

	if (type && (!strcmp(type, "whisper") || !strcmp(type, "speech_to_text")))
		return &speech;
	return jval_get(config, "vision_config") ? &sight : &text;
}

const struct task *task_of(const struct jval *config)
{
	const char *name = jval_str(jval_at(jval_get(config, "architectures"), 0));

	if (!name)
		return NULL;
	if (text_ends_with(name, text.suffix))
		return conditional(config);
	for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
		if (text_ends_with(name, tasks[i].suffix))
			return &tasks[i];
	return NULL;
}
